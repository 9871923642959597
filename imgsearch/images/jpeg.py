"""A JPEG's segments: what its header says that Pillow does not tell."""

import struct
from collections.abc import Iterator
from typing import Final

_START_OF_SCAN: Final = 0xDA
_BARE: Final = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
_FRAMES: Final = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # of all processes
_PROGRESSIVE: Final = {0xC2, 0xCA}
_DECODED: Final = {0xC0, 0xC1, 0xC9} | _PROGRESSIVE  # the others are lossless or hierarchical


def is_held_whole(data: bytes) -> bool:
    """Tell whether libjpeg holds a whole JPEG in memory, however small it comes.

    So it is with progressive files, and where a scan holds only some of the components.
    """
    components = 1
    for marker, start in _segments(data):
        if marker in _FRAMES:
            if marker in _PROGRESSIVE:
                return True
            components = data[start + 7]
        if marker == _START_OF_SCAN:
            return data[start + 2] < components
    return True  # libjpeg finds its way through junk that `_segments` does not


def decoded_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG that libjpeg decodes: of 8 bits, not lossless.

    0 for another one.
    """
    for marker, start in _segments(data):
        if marker in _FRAMES:
            bits, height, width = struct.unpack_from(">BHH", data, start + 2)
            return (width, height) if marker in _DECODED and bits == 8 else (0, 0)
    return 0, 0


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker with the place of its segment, at least 8 bytes of it, up to the scan."""
    place = 2 if data[:2] == b"\xff\xd8" else len(data)
    while place + 10 < len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        place += 1 if marker == 0xFF else 2
        if marker in _BARE or marker == 0xFF:
            continue
        yield marker, place
        if marker == _START_OF_SCAN:
            return
        place += int.from_bytes(data[place : place + 2])
