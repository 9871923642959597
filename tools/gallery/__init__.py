"""A generator for the drawn gallery, a labeled image set.

A painter paints a picture of one class on a blank canvas and returns its caption. Like photographs,
the pictures vary in position, scale, color, number, viewpoint, light and grain.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from PIL import Image

from imgsearch.errors import ConfigError, DatasetError, SourceError
from tools.gallery import animals, food, garden, land, patterns, sky, things
from tools.gallery.canvas import Canvas

Painter: TypeAlias = Callable[[Canvas], str]

PAINTERS: Final[Mapping[str, Painter]] = {
    "brick_wall": patterns.brick_wall,
    "butterfly": animals.butterfly,
    "city_night": sky.city_night,
    "daisy_meadow": garden.daisy_meadow,
    "desert_dunes": land.desert_dunes,
    "forest": land.forest,
    "goldfish": animals.goldfish,
    "green_hills": land.green_hills,
    "hot_air_balloon": things.hot_air_balloon,
    "ladybird": garden.ladybird,
    "leopard_spots": patterns.leopard_spots,
    "lighthouse": things.lighthouse,
    "mushroom": garden.mushroom,
    "orange_slices": food.orange_slices,
    "pizza": food.pizza,
    "rainbow": sky.rainbow,
    "sailing_boat": things.sailing_boat,
    "snowy_mountain": land.snowy_mountain,
    "starry_night": sky.starry_night,
    "strawberry": food.strawberry,
    "sunflower": garden.sunflower,
    "sunset_sea": land.sunset_sea,
    "wood_grain": patterns.wood_grain,
    "zebra_stripes": patterns.zebra_stripes,
}

_QUALITY = 70  # JPEG: 264 pictures of 240 x 180 pixels take less than 2 MB
_MARK = "drawn.json"  # the arguments of `draw`; written last, so it marks a complete gallery
_MIN_SIDE, _MAX_SIDE = 16, 4096  # smaller: windows without pixels; larger: gigabytes of memory


def classes() -> list[str]:
    """Return the sorted class names; a class's index in this list is part of its random seeds."""
    return sorted(PAINTERS)


def draw(
    folder: Path,
    *,
    per_class: int = 10,
    size: tuple[int, int] = (240, 180),
    seed: int = 2026,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the gallery: `train/<class>/`, one query per class in `test/<class>/`, and captions.

    The pictures are JPEG files of `size` (width, height) pixels, not higher than wide. They are
    named `<class>_<index>.jpg` with at least two digits; the query has index `per_class`. Each line
    of `captions.jsonl` is an object with "file", "label" and "caption". A picture depends only on
    `seed`, its class and its index: the same versions of numpy and Pillow on the same processor
    produce the same bytes.

    The folder is created atomically. If it already contains the same gallery, it is kept.
    `on_progress` is called after each picture with the numbers of drawn and of all pictures.

    Raises:
        ConfigError: an argument is out of range.
        DatasetError: the folder contains something else.
        SourceError: the folder cannot be written.
    """
    plan = _Plan(per_class, size, seed)
    folder = Path(folder)
    if _stands(folder, plan):
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".drawing-", dir=folder.parent) as beside:
            drawn = Path(beside) / "drawn"  # the temporary folder itself is private
            _draw(drawn, plan, on_progress)
            try:
                drawn.replace(folder)
            except OSError:
                if not _stands(folder, plan):  # otherwise another process was faster
                    raise
    except OSError as error:
        raise SourceError(
            f"cannot write the drawn gallery to {folder}: {error.strerror or error}",
            path=str(folder),
        ) from error


@dataclass(frozen=True, slots=True)
class _Plan:
    """The arguments of `draw`, checked."""

    per_class: int
    size: tuple[int, int]
    seed: int

    def __post_init__(self) -> None:
        if self.per_class < 1:
            raise ConfigError(f"per_class is {self.per_class}; ask for 1 or more")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; it must not be negative")
        width, height = self.size
        if not _MIN_SIDE <= height <= width <= _MAX_SIDE:
            raise ConfigError(
                f"size is {self.size}; give (width, height) from {_MIN_SIDE} to {_MAX_SIDE}, "
                "no higher than wide"  # the painters expect landscape format
            )

    def pictures(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield (file, label, class index, picture index), in the order of writing."""
        for place, label in enumerate(classes()):
            for index in range(self.per_class + 1):
                part = "train" if index < self.per_class else "test"
                yield f"{part}/{label}/{label}_{index:02d}.jpg", label, place, index

    def mark(self) -> str:
        """Return the content of the mark file, which identifies the arguments."""
        facts = {"per_class": self.per_class, "size": list(self.size), "seed": self.seed}
        return json.dumps({"generator": "imgsearch drawn gallery 1", **facts}) + "\n"


def _stands(folder: Path, plan: _Plan) -> bool:
    """Return whether the folder contains this gallery. False if it is missing or empty.

    Raises:
        DatasetError: the folder contains something else, or the gallery is incomplete.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    mark = folder / _MARK
    if not mark.is_file() or mark.read_text(encoding="utf-8") != plan.mark():
        raise DatasetError(
            f"{folder} exists and holds no such drawn gallery ({plan.mark().strip()}); "
            "name another folder, or remove this one first"
        )
    missing = [file for file, *_ in plan.pictures() if not (folder / file).is_file()]
    if missing or not (folder / "captions.jsonl").is_file():
        raise DatasetError(
            f"{folder} is a drawn gallery that lacks {(missing or ['captions.jsonl'])[0]}; "
            "remove it, and it will be drawn again"
        )
    return True


def _draw(folder: Path, plan: _Plan, on_progress: Callable[[int, int], None] | None) -> None:
    """Draw the gallery into a new folder."""
    pictures, lines = list(plan.pictures()), []
    for done, (file, label, place, index) in enumerate(pictures, 1):
        canvas = Canvas(*plan.size, np.random.default_rng([plan.seed, place, index]))
        caption = PAINTERS[label](canvas)
        canvas.develop()
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(canvas.pixels()).save(path, quality=_QUALITY, optimize=True)
        lines.append(json.dumps({"file": file, "label": label, "caption": caption}) + "\n")
        if on_progress:
            on_progress(done, len(pictures))
    (folder / "captions.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / _MARK).write_text(plan.mark(), encoding="utf-8")
