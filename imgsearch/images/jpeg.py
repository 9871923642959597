"""JPEG: decoding at a reduced scale, and header data that Pillow does not provide."""

import re
import struct
from collections.abc import Iterator
from typing import Final

from PIL.ImageFile import ImageFile

WHOLE: Final = 8
"""The full size of a scaled JPEG may have this many times the limit of decoded pixels.

All pixels are still entropy-decoded: 0.5 s for 64 MP on one AMD EPYC core.
"""

WHOLE_HELD: Final = 2
"""The same if libjpeg holds all coefficients in memory: about 3 bytes a pixel in 4:2:0."""

_SCALES: Final = (8, 4, 2)  # the fractions that Pillow requests from libjpeg
_START_OF_SCAN: Final = 0xDA
_SCAN: Final = re.compile(rb"\xff\xda\0.(.)", re.DOTALL)  # and the number of components
_BARE: Final = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
_FRAMES: Final = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # of all coding processes
_PROGRESSIVE: Final = {0xC2, 0xCA}
_HUFFMAN: Final = {0xC0, 0xC1}  # sequential, and not arithmetic coding
_DECODED: Final = {0xC0, 0xC1, 0xC9} | _PROGRESSIVE  # other frames are lossless or hierarchical


def shrink(image: ImageFile, at_least: int, max_pixels: int) -> None:
    """Set the smallest scale whose edges have `at_least` pixels, and update `image.size`.

    The scale must divide both edges, because rounded edges would change the aspect ratio and the
    crop. Edges are rounded up only if the full size exceeds `max_pixels`.
    """
    width, height = image.size
    for exact in (True, False) if width * height > max_pixels else (True,):
        for scale in _SCALES:
            divides = width % scale == 0 and height % scale == 0
            if (divides or not exact) and min(width, height) // scale >= at_least:
                image.draft(None, (width // scale, height // scale))
                return


def is_held_whole(data: bytes) -> bool:
    """Return whether libjpeg holds the whole JPEG in memory at every scale.

    This is the case for progressive files, and if a scan has only some of the components.
    """
    components = 1
    for marker, start in _segments(data):
        if marker in _FRAMES:
            if marker in _PROGRESSIVE:
                return True
            components = data[start + 7]
        if marker == _START_OF_SCAN:
            return data[start + 2] < components
    return True  # libjpeg skips junk at which `_segments` stops


def sole_scan(data: bytes) -> int:
    """Return the offset of the scan of a baseline JPEG, whose one scan has all components.

    Returns 0 for other JPEGs: progressive, arithmetic or lossless coding, or several scans.
    """
    components = 0
    for marker, start in _segments(data):
        if marker in _FRAMES:
            components = data[start + 7] if marker in _HUFFMAN and data[start + 2] == 8 else 0
        if marker == _START_OF_SCAN and data[start + 2] == components:
            return start + int.from_bytes(data[start : start + 2])
    return 0


def decoded_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG that libjpeg can decode: 8 bits and not lossless.

    Both are 0 for other data.
    """
    for marker, start in _segments(data):
        if marker in _FRAMES:
            bits, height, width = struct.unpack_from(">BHH", data, start + 2)
            return (width, height) if marker in _DECODED and bits == 8 else (0, 0)
    return 0, 0


def scans(data: bytes) -> int:
    """Return an upper bound of the decoding passes: the components, summed over all scans."""
    return sum(match[1][0] for match in _SCAN.finditer(data))


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, offset of its segment) up to the first scan; 8 bytes or more follow it."""
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 10 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        at += 1 if marker == 0xFF else 2
        if marker in _BARE or marker == 0xFF:
            continue
        yield marker, at
        if marker == _START_OF_SCAN:
            return
        at += int.from_bytes(data[at : at + 2])
