"""Borders of one colour around pictures: bars of films, padding, frames of scanners."""

from typing import Final

import numpy as np
from PIL import Image

from imgsearch.types import Pixels

_FLAT: Final = (
    12  # levels; above what JPEG leaves in a bar; 8 of 157 photographs lose over 5 % to it
)
_MOST: Final = 4_096  # lines looked at together: some MB


_SAMPLES: Final = 64  # of a line, to see that it is flat


def trimmed(image: Pixels) -> Pixels:
    """Return the view of an image without borders of one color, or the whole image."""
    left, top, right, bottom = _content(image)
    return image[top:bottom, left:right]


def trimmed_picture(picture: Image.Image) -> Image.Image:
    """Return an RGB picture without borders of one color, cropped as by `trimmed`.

    Most pictures have no border. Their outermost lines show that, without a copy of all pixels.
    """
    width, height = picture.size
    edges = (
        (0, 0, width, 1),
        (0, height - 1, width, height),
        (0, 0, 1, height),
        (width - 1, 0, width, height),
    )
    if any(_is_flat(np.asarray(picture.crop(edge))) for edge in edges):
        return picture.crop(_content(np.asarray(picture)))
    return picture


def canonical() -> str:
    """Return the description of `trimmed` for a `Fingerprint`."""
    return f"trim border lines within {_FLAT} levels of their corner"


def _content(image: Pixels) -> tuple[int, int, int, int]:
    """Return the box without the borders: left, top, right, bottom."""
    height, width = image.shape[:2]
    rows, columns = image[:, :: _step(width)], image[:: _step(height)].swapaxes(0, 1)
    top, left = _flat_lines(rows), _flat_lines(columns)
    bottom, right = height - _flat_lines(rows[::-1]), width - _flat_lines(columns[::-1])
    return (left, top, right, bottom) if left < right and top < bottom else (0, 0, width, height)


def _step(length: int) -> int:
    """Return the distance of the samples in a line of this length."""
    return max(1, length // _SAMPLES)


def _is_flat(line: Pixels) -> bool:
    """Return whether an image's outermost row or column, as an image of its own, is a border."""
    pixels = line.reshape(1, -1, 3)
    return _flat_lines(pixels[:, :: _step(pixels.shape[1])]) > 0


def _flat_lines(lines: Pixels) -> int:
    """Return how many of the first lines have about the colour of the first one's first pixel."""
    colour = lines[0, 0].astype(np.int16)
    start, size = 0, 1
    while start < len(lines):  # one line first, as most pictures have no border; then more at once
        far = np.abs(lines[start : start + size] - colour).max(axis=(1, 2)) > _FLAT
        if far.any():
            return start + int(far.argmax())
        start, size = start + size, min(2 * size, _MOST)
    return len(lines)
