"""Training images on disk: all of one size in one array, and beside it what they are."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.encoders.mini.training.sources import TrainingSet, images
from imgsearch.errors import SourceError
from imgsearch.types import Pixels

EDGE: Final = 80
"""Pixels of a packed image's edge, and of the network's input; most of the images have 64 or 84."""

_MAX_PIXELS: Final = 50_000_000


@dataclass(frozen=True)
class Packed:
    """A training set's images, uint8 (n, 80, 80, 3), read from disk as they are asked for.

    `paths`, `labels` and `digests` (sha256 of the bytes) are lists of n texts.
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    paths: list[str]
    labels: list[str]
    digests: list[str]

    @classmethod
    def of(cls, known: TrainingSet, git: Path, folder: Path) -> Self:
        """Return a set packed in `folder`; it is read from its clone if it is not there yet.

        Images that cannot be decoded are left out.

        Raises:
            SourceError: the clone is not the set's.
        """
        card = folder / f"{known.name}.json"
        if not card.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _write(known, git, folder, card)
        told = json.loads(card.read_text(encoding="utf-8"))
        pixels = np.load(folder / f"{known.name}.npy", mmap_mode="r")[: len(told["paths"])]
        return cls(known.name, pixels, told["paths"], told["labels"], told["digests"])

    def __len__(self) -> int:
        return len(self.paths)


def squared(content: bytes, edge: int = EDGE) -> Pixels:
    """Return the middle of an image, uint8 (edge, edge, 3): its shorter edge scaled to that.

    Raises:
        SourceError: it cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                raise SourceError(f"{opened.width} x {opened.height} pixels are too many")
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise SourceError(f"an image does not decode: {error}") from error
    scale = edge / min(picture.size)
    size = max(edge, round(picture.width * scale)), max(edge, round(picture.height * scale))
    left, top = (size[0] - edge) // 2, (size[1] - edge) // 2
    scaled = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(scaled.crop((left, top, left + edge, top + edge)))


def _write(known: TrainingSet, git: Path, folder: Path, card: Path) -> None:
    import hashlib

    told: dict[str, list[str]] = {"paths": [], "labels": [], "digests": []}
    part = folder / f".{known.name}.part"
    with part.open("wb") as file:  # rows first; how many there are is known at the end
        for image in images(known, git):
            try:
                pixels = squared(image.content)
            except SourceError:
                continue
            file.write(pixels.tobytes())
            told["paths"].append(image.path)
            told["labels"].append(image.label)
            told["digests"].append(hashlib.sha256(image.content).hexdigest())
    shape = (len(told["paths"]), EDGE, EDGE, 3)
    np.save(folder / f"{known.name}.npy", np.memmap(part, np.uint8, "r", shape=shape))
    part.unlink()
    card.write_text(json.dumps(told), encoding="utf-8")


class Together:
    """Several packed sets, and arrays that go with them row by row, as one."""

    def __init__(self, parts: list[npt.NDArray[Any]]) -> None:
        self._parts = parts
        self._ends = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the rows, in the order of their sorted numbers `rows`."""
        return np.concatenate([part[own] for part, own in self._own(rows)])

    def _own(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[Any], Any]]:
        for place, part in enumerate(self._parts):
            start, end = self._ends[place], self._ends[place + 1]
            own = rows[(rows >= start) & (rows < end)] - start
            if len(own):
                yield part, own
