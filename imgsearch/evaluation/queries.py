"""Queries other than the dataset's own images: class names, captions and changed images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from imgsearch import images
from imgsearch.datasets.dataset import Dataset, Item
from imgsearch.encoders import Encoder
from imgsearch.errors import DatasetError, ImageError, SourceError, TextUnknown
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.images import sources
from imgsearch.text import counted, load_json
from imgsearch.types import Matrix, Pixels

CAPTIONS: Final = "captions.jsonl"
_CHANGED: Final = 100  # originals, evenly spaced in the gallery
_EDGE: Final = 400  # pixels; the published figures of the transforms are for this size


@dataclass(frozen=True)
class Question:
    """One query: a `text`, or a `change` of the image at `path`. `name` is unique.

    All images with the class `label` are relevant. If `label` is "", only the image at `path` is.
    """

    name: str
    text: str = ""
    change: str = ""
    label: str = ""
    path: str = ""


def load_questions(dataset: Dataset, kind: str) -> list[Question]:
    """Return the questions of a kind: "names", "captions" or "changes".

    - names: each class name, with underscores replaced by spaces, should find the images of the
      class.
    - captions: the first caption of each image in the dataset's ``captions.jsonl`` should find that
      image.
    - changes: up to 100 evenly spaced gallery images, each with all 14 changes, should find their
      originals.

    Raises:
        DatasetError: the dataset has no captions.
    """
    return QUESTIONS[kind](dataset)


def _name_questions(dataset: Dataset) -> list[Question]:
    names = sorted({item.label for item in dataset.gallery})
    return [Question(name, text=name.replace("_", " "), label=name) for name in names]


def _caption_questions(dataset: Dataset) -> list[Question]:
    return [
        Question(str(path), text=texts[0], path=str(path))
        for path, texts in captions(dataset.root / CAPTIONS).items()
    ]


def _change_questions(dataset: Dataset) -> list[Question]:
    step = max(1, len(dataset.gallery) // _CHANGED)
    originals = [item.path for item in dataset.gallery[::step][:_CHANGED]]
    return [
        Question(f"{path} {change}", change=change, path=str(path))
        for path in originals
        for change in TRANSFORMS
    ]


QUESTIONS: Final[Mapping[str, Callable[[Dataset], list[Question]]]] = {
    "names": _name_questions,
    "captions": _caption_questions,
    "changes": _change_questions,
}
"""The questions for a dataset, by kind."""


def captioned(folder: Path) -> Dataset:
    """Return the images in a folder's ``captions.jsonl`` as a dataset, each in its own class.

    A line is ``{"file": "images/1.jpg", "captions": ["A dog.", …]}``.

    Raises:
        DatasetError: the file is missing or invalid.
    """
    root = folder.expanduser().resolve()
    items = tuple(Item(path, str(path)) for path in captions(root / CAPTIONS))
    return Dataset(root.name, root, items, (), held_out=True)


def captions(file: Path) -> Mapping[Path, Sequence[str]]:
    """Return the captions in a ``captions.jsonl``, by image path.

    Raises:
        DatasetError: the file cannot be read, is invalid, or has fewer than two images.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{file} cannot be read: it is not UTF-8") from error
    rows = dict(_line(file, number, line) for number, line in enumerate(lines, 1) if line.strip())
    if len(rows) < 2:
        raise DatasetError(f"{file} has {counted(len(rows), 'image')}; at least two are needed")
    return rows


def _line(file: Path, number: int, line: str) -> tuple[Path, Sequence[str]]:
    try:
        row = load_json(line)
        name, first, *others = str(row["file"]), *map(str, row["captions"])
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f'{file} line {number} is invalid: write it as {{"file": PATH, "captions": [TEXT, …]}}'
        ) from error
    return file.parent / name, [first, *others]


def vectors(
    questions: Sequence[Question], encoder: Encoder, *, max_pixels: int = images.MAX_PIXELS
) -> Iterator[Matrix | None]:
    """Yield a vector, float32 (1, d), for each question.

    Yields None for a text without a known word and for an unreadable image.

    Raises:
        TextUnsupported: the encoder takes images only.
    """
    known: dict[str, Pixels | None] = {}
    for question in questions:
        if question.text:
            yield _encode_text(question.text, encoder)
            continue
        if question.path not in known:  # the changes of one original are consecutive
            known = {question.path: _thumbnail(question.path, max_pixels)}
        image = known[question.path]
        yield None if image is None else encoder.encode([TRANSFORMS[question.change](image)])


def _encode_text(text: str, encoder: Encoder) -> Matrix | None:
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
