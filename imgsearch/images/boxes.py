"""Iterates over the boxes of AVIF, HEIC and JP2 files.

Source: ISO/IEC 14496-12, 4.2; https://www.itu.int/rec/T-REC-T.800, I.4.
"""

import struct
from collections.abc import Iterator
from typing import Final

HEADERS: Final = {b"meta": 4, b"iref": 4, b"stsd": 8, b"av01": 78}
"""Bytes between the start of a box's content and its inner boxes; 0 for other boxes."""


def boxes_in(
    data: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box between two offsets: its name, and the start and end of its content.

    The content of a truncated box ends at `end`, by default the end of the data.
    """
    end = len(data) if end is None else end
    while start + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if length == 1 and start + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, content)
            content += 8
        stop = end if length == 0 else start + length
        if stop < content:
            return
        yield name, content, min(stop, end)
        start = stop


def boxes_at(data: bytes, *path: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each box's content at a path of box names.

    The content starts at the inner boxes, after the bytes in `HEADERS`.
    """
    spans = [(0, len(data))]
    for name in path:
        spans = [
            (first + HEADERS.get(name, 0), last)
            for start, end in spans
            for inner, first, last in boxes_in(data, start, end)
            if inner == name
        ]
    yield from spans
