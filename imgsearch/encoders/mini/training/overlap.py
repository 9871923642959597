"""Training images that are, or nearly are, images of an evaluation: they are left out."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.encoders.mini.training.packed import squared
from imgsearch.encoders.mini.training.sources import SUFFIXES
from imgsearch.encoders.mini.training.teacher import LARGE, unit_rows
from imgsearch.types import Matrix, Pixels

_BOX: Final = Image.Resampling.BOX
ALIKE: Final = 4  # bits of 64 that may differ whatever a network says
_NEAR: Final = 14  # bits, where a network finds the same two images alike, too
_COSINE: Final = 0.85
_SURE: Final = 0.93  # a cosine that needs no second opinion
_GREY: Final = 24  # pixels of an edge
_CORRELATED: Final = 0.9  # see `overlaps`


def dhash(pixels: Pixels) -> int:
    """Return the difference hash of an image, 64 bits.

    Source: Neal Krawetz, Kind of Like That, 2013,
    https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
    """
    grey = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BICUBIC)
    values = np.asarray(grey, dtype=np.int16)
    return int.from_bytes(np.packbits(values[:, 1:] > values[:, :-1]).tobytes(), "big")


def greys(images: Iterable[Pixels]) -> Matrix:
    """Return the brightness of images, float32 (n, 576), less its mean and of unit norm."""
    size = (_GREY, _GREY)
    told = [Image.fromarray(each).convert("L").resize(size, _BOX).tobytes() for each in images]
    rows = np.frombuffer(b"".join(told), dtype=np.uint8).reshape(-1, _GREY**2).astype(np.float32)
    return unit_rows(rows - rows.mean(axis=1, keepdims=True))


def overlaps(
    training: npt.NDArray[np.uint8],
    training_vectors: Matrix,
    evaluation: "Shown",
    evaluation_vectors: Matrix,
) -> npt.NDArray[np.bool_]:
    """Tell of each training image, uint8 (n, edge, edge, 3), if it is one of the evaluation's.

    It is if its dhash differs from one's, or from its mirror image's, in at most 4 bits; or if a
    teacher's unit vectors have a cosine of 0.93; or by both, 14 bits and 0.85, for the same image;
    or if the brightness of 24 x 24 pixels has a correlation of 0.9 with one's, of its middle or of
    all of it squeezed into a square, as others may have made images small. Of tiny-imagenet's that
    correlate by 0.94 with one of the ImageNet subset, 78 of 89 are of its class, by 0.90 to 0.92
    three of 98: that limit is where chance begins.
    Row i and row i + m of `evaluation_vectors` are of evaluation image i of m, small and large.
    """
    own, seen_before = _hashes(training), evaluation.greys
    correlated, _ = _nearest(greys(training), np.concatenate([seen_before, _mirrored(seen_before)]))
    bits = np.full(len(training), 65, dtype=np.int64)
    which = np.full(len(training), -1, dtype=np.int64)
    for place, image in enumerate(evaluation.small):
        for seen in (image, np.ascontiguousarray(image[:, ::-1])):
            differing = np.bitwise_count(own ^ np.uint64(dhash(seen)))
            nearer = differing < bits
            bits[nearer], which[nearer] = differing[nearer], place
    cosines, nearest = _nearest(training_vectors, evaluation_vectors)
    both = (bits <= _NEAR) & (cosines >= _COSINE) & (nearest % len(evaluation.small) == which)
    hashed = (bits <= ALIKE) | (cosines >= _SURE) | both
    found: npt.NDArray[np.bool_] = hashed | (correlated >= _CORRELATED)
    return found


@dataclass(frozen=True)
class Shown:
    """The images of an evaluation: names of files, pixels uint8 (80, 80, 3) and (256, 256, 3).

    `greys` are of their middles and, after these, of all of each squeezed into a square.
    """

    names: frozenset[str]
    small: list[Pixels]
    large: list[Pixels]
    greys: Matrix


def shown(folders: Iterable[Path]) -> Shown:
    """Return the images of evaluation folders, in the order of their paths."""
    paths = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    contents = [path.read_bytes() for path in paths]
    return Shown(
        frozenset(path.name for path in paths),
        [squared(content) for content in contents],
        large := [squared(content, LARGE) for content in contents],
        np.concatenate([greys(large), greys(map(_squeezed, contents))]),
    )


def _squeezed(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(opened.convert("RGB").resize((LARGE, LARGE), _BOX))


def _mirrored(rows: Matrix) -> Matrix:
    return np.ascontiguousarray(rows.reshape(-1, _GREY, _GREY)[:, :, ::-1]).reshape(rows.shape)


def _hashes(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    return np.array([dhash(image) for image in images], dtype=np.uint64)


def _nearest(
    rows: Matrix, others: Matrix, block: int = 4096
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the highest cosine of each row to the others, and whose it is."""
    cosines = np.empty(len(rows), dtype=np.float32)
    which = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        found = rows[part].astype(np.float32) @ others.T
        cosines[part], which[part] = found.max(axis=1), found.argmax(axis=1)
    return cosines, which
