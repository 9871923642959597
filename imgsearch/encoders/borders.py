"""Removes single-color borders: letterbox bars, padding, scanner frames."""

from typing import Final

import numpy as np
from PIL import Image

from imgsearch.types import Pixels

# levels, above the noise of JPEG in a bar; 8 of 157 photographs lose over 5 % of their area
_FLAT: Final = 12
_MOST: Final = 4_096  # lines compared at once: some MB
_SAMPLES: Final = 64  # pixels of a line that are compared


def trim(image: Pixels) -> Pixels:
    """Return a view of the image without single-color borders."""
    left, top, right, bottom = _content(image)
    return image[top:bottom, left:right]


def trim_picture(picture: Image.Image) -> Image.Image:
    """Return an RGB picture without single-color borders, cropped like `trim`.

    The outermost lines are checked first, because most pictures have no border. A check of all
    pixels needs a copy.
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
    """Return the description of `trim` for a `Fingerprint`."""
    return f"trim border lines within {_FLAT} levels of their corner"


def _content(image: Pixels) -> tuple[int, int, int, int]:
    """Return the box without the borders: left, top, right, bottom."""
    height, width = image.shape[:2]
    rows, columns = image[:, :: _step(width)], image[:: _step(height)].swapaxes(0, 1)
    top, left = _flat_lines(rows), _flat_lines(columns)
    bottom, right = height - _flat_lines(rows[::-1]), width - _flat_lines(columns[::-1])
    return (left, top, right, bottom) if left < right and top < bottom else (0, 0, width, height)


def _step(length: int) -> int:
    """Return the distance between the samples of a line."""
    return max(1, length // _SAMPLES)


def _is_flat(line: Pixels) -> bool:
    """Return whether a row or column, given as an image, is a border."""
    pixels = line.reshape(1, -1, 3)
    return _flat_lines(pixels[:, :: _step(pixels.shape[1])]) > 0


def _flat_lines(lines: Pixels) -> int:
    """Return the number of lines at the start that have about the color of the first pixel."""
    color = lines[0, 0].astype(np.int16)
    start, size = 0, 1
    while start < len(lines):  # one line first, because most pictures have no border
        far = np.abs(lines[start : start + size] - color).max(axis=(1, 2)) > _FLAT
        if far.any():
            return start + int(far.argmax())
        start, size = start + size, min(2 * size, _MOST)
    return len(lines)
