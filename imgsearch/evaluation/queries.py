"""What a gallery is asked beside images of its classes: their names, captions, changed images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from imgsearch import images, safe_json
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.encoders import Encoder
from imgsearch.errors import DatasetError, ImageError, SourceError, TextUnknown
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.images import sources
from imgsearch.types import Matrix, Pixels
from imgsearch.wording import counted

KINDS: Final = ("images", "names", "captions", "changes")
CAPTIONS: Final = "captions.jsonl"
_CHANGED: Final = 100  # originals, spread over the gallery
_EDGE: Final = 400  # pixels; the transforms' figures are stated for pictures of that size


@dataclass(frozen=True)
class Question:
    """One query, by a `name` of its own: its vectors come from `texts` or from `changes`.

    `label` is the class, or `path` the one image that it asks for; the other is empty.
    """

    name: str
    text: str = ""
    change: str = ""
    label: str = ""
    path: str = ""


def questions(dataset: Dataset, kind: str) -> list[Question]:
    """Return the questions of a kind: "names", "captions" or "changes".

    names: each class's name, its underscores as spaces, asks for the class's images. captions: the
    first caption of an image, in the dataset's ``captions.jsonl``, asks for that image. changes:
    100 images, spread over the gallery, ask for themselves through each of 14 transforms.

    Raises:
        DatasetError: there are no captions.
    """
    if kind == "names":
        names = sorted({item.label for item in dataset.gallery})
        return [Question(name, text=name.replace("_", " "), label=name) for name in names]
    if kind == "captions":
        told = captions(dataset.root / CAPTIONS)
        return [Question(str(path), text=each[0], path=str(path)) for path, each in told.items()]
    step = max(1, len(dataset.gallery) // _CHANGED)
    originals = [item.path for item in dataset.gallery[::step][:_CHANGED]]
    return [
        Question(f"{path} {change}", change=change, path=str(path))
        for path in originals
        for change in TRANSFORMS
    ]


def captioned(folder: Path) -> Dataset:
    """Return the images that a folder's ``captions.jsonl`` names, each a class of its own.

    A line is ``{"file": "images/1.jpg", "captions": ["A dog.", …]}``.

    Raises:
        DatasetError: there is no such file, or it holds something else.
    """
    root = folder.expanduser().resolve()
    items = tuple(Item(path, str(path)) for path in captions(root / CAPTIONS))
    return Dataset(root.name, root, items, (), held_out=True)


def captions(file: Path) -> Mapping[Path, Sequence[str]]:
    """Return the captions of each image that a ``captions.jsonl`` names.

    Raises:
        DatasetError: the file cannot be read, or holds something else, or less than two images.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{file} is not in UTF-8") from error
    rows = dict(_line(file, number, line) for number, line in enumerate(lines, 1) if line.strip())
    if len(rows) < 2:
        raise DatasetError(f"{file} names {counted(len(rows), 'image')}; at least two are needed")
    return rows


def _line(file: Path, number: int, line: str) -> tuple[Path, Sequence[str]]:
    try:
        row = safe_json.loads(line)
        name, first, *others = str(row["file"]), *map(str, row["captions"])
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f'{file} line {number}: not {{"file": PATH, "captions": [TEXT, …]}}'
        ) from error
    return file.parent / name, [first, *others]


def vectors(
    asked: Sequence[Question], encoder: Encoder, *, max_pixels: int = images.MAX_PIXELS
) -> Iterator[Matrix | None]:
    """Yield the vector, float32 (1, d), of each question, None where it has none.

    That is a text without a word that the encoder knows, or an image that cannot be used.

    Raises:
        TextUnsupported: the encoder takes images only.
    """
    known: dict[str, Pixels | None] = {}
    for question in asked:
        if question.text:
            yield _of_text(question.text, encoder)
            continue
        if question.path not in known:  # an original's changes follow each other
            known = {question.path: _thumbnail(question.path, max_pixels)}
        image = known[question.path]
        yield None if image is None else encoder.encode([TRANSFORMS[question.change](image)])


def _of_text(text: str, encoder: Encoder) -> Matrix | None:
    try:
        return encoder.encode_texts([text])
    except TextUnknown:
        return None


def _thumbnail(path: str, max_pixels: int) -> Pixels | None:
    try:
        small = Image.fromarray(images.decode(sources.read(path), path=path, max_pixels=max_pixels))
    except (ImageError, SourceError):
        return None
    small.thumbnail((_EDGE, _EDGE))
    return np.array(small)
