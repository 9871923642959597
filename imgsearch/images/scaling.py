"""JPEG at a fraction of its size: which fraction, and what it costs to get there."""

from typing import Final

from PIL.ImageFile import ImageFile

WHOLE: Final = 8
"""Pixels of a whole JPEG for each pixel that is kept: 200 MP may become 50 at a half.

Each is still entropy-decoded: 0.5 s for 64 MP on one AMD EPYC core.
"""

WHOLE_BUFFERED: Final = 2
"""The same where libjpeg holds all coefficients of the whole: about 3 bytes a pixel in 4:2:0."""

_SCALES: Final = (8, 4, 2)  # the fractions that Pillow asks libjpeg for
_START_OF_SCAN: Final = 0xDA
_NO_LENGTH: Final = {0x01, *range(0xD0, 0xD9)}  # markers without a segment


def shrink(image: ImageFile, at_least: int, max_pixels: int) -> None:
    """Have a JPEG decoded as small as `at_least` allows; `image.size` tells how small.

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


def buffered(image: ImageFile, data: bytes) -> bool:
    """Tell whether libjpeg holds a whole JPEG in memory, however small it comes.

    So it is with progressive files, and where a scan holds only some of the components.
    """
    if image.info.get("progressive"):
        return True
    place = 2
    while place + 4 < len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == _START_OF_SCAN:
            return data[place + 4] < int(getattr(image, "layers", 1))
        bare = marker in _NO_LENGTH or marker == 0xFF
        place += 1 if marker == 0xFF else 2
        place += 0 if bare else int.from_bytes(data[place : place + 2])
    return True  # libjpeg finds its way through junk that this does not
