"""JPEG at a fraction of its size: which fraction, and what it costs to get there."""

from typing import Final

from PIL.ImageFile import ImageFile

WHOLE: Final = 8
"""Pixels of a whole JPEG for each pixel that is kept: 200 MP may become 50 at a half.

Each is still entropy-decoded: 0.5 s for 64 MP on one AMD EPYC core.
"""

WHOLE_HELD: Final = 2
"""The same where libjpeg holds all coefficients of the whole: about 3 bytes a pixel in 4:2:0."""

_SCALES: Final = (8, 4, 2)  # the fractions that Pillow asks libjpeg for


def shrink(image: ImageFile, at_least: int, max_pixels: int) -> None:
    """Have a JPEG decoded as small as `at_least` allows; `image.size` is that size then.

    Edges that a fraction does not divide are left whole: rounded up they have other proportions,
    thus another crop. Where the whole has more than `max_pixels`, they are rounded up all the same.
    """
    width, height = image.size
    for exact in (True, False) if width * height > max_pixels else (True,):
        for scale in _SCALES:
            divides = width % scale == 0 and height % scale == 0
            if (divides or not exact) and min(width, height) // scale >= at_least:
                image.draft(None, (width // scale, height // scale))
                return
