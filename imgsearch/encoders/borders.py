"""Borders of one colour around pictures: bars of films, padding, frames of scanners."""

from typing import Final

import numpy as np

from imgsearch.types import Pixels

_FLAT: Final = (
    12  # levels; above what JPEG leaves in a bar; 8 of 157 photographs lose over 5 % to it
)
_MOST: Final = 4_096  # lines looked at together: some MB


def trimmed(image: Pixels) -> Pixels:
    """Return the view of an image without borders of one colour, or all of it."""
    tall, wide = (max(1, side // 64) for side in image.shape[:2])  # 64 samples tell a flat line
    rows, columns = image[:, ::wide], image[::tall].swapaxes(0, 1)
    top, left = _flat_lines(rows), _flat_lines(columns)
    bottom, right = len(rows) - _flat_lines(rows[::-1]), len(columns) - _flat_lines(columns[::-1])
    kept = image[top:bottom, left:right]
    return kept if kept.size else image


def canonical() -> str:
    """Return what `trimmed` does, for a `Fingerprint`."""
    return f"trim border lines within {_FLAT} levels of their corner"


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
