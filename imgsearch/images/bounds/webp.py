"""WebP: the chunks.

libwebp 1.6 keeps an entry for each chunk, and allocates two canvases while it opens a file.
Source of the layout: https://www.rfc-editor.org/rfc/rfc9649
"""

import struct
from typing import Final

from imgsearch.images.bounds.limits import check_count, check_size
from imgsearch.images.bounds.tiff import check_exif

_CHUNKS: Final = 100_000  # each frame of an animation is one


def check(data: bytes, max_pixels: int | None) -> None:
    """Reject a WebP with too many chunks, a canvas that is too large, or too much EXIF."""
    at, number = 12, 0
    size = min(len(data), 8 + int.from_bytes(data[4:8], "little"))  # libwebp ignores the rest
    while at + 8 <= size:
        name, length = struct.unpack_from("<4sI", data, at)
        start, end = at + 8, min(at + 8 + length, size)
        number += 1
        check_count(number, _CHUNKS, "chunks")
        if number == 1:
            check_size(*_size(name, data[start : start + 10]), max_pixels)
        if name == b"EXIF":
            check_exif(data[start:end])
        at = start + length + length % 2


def _size(name: bytes, head: bytes) -> tuple[int, int]:
    """Return the size that the first chunk declares, (0, 0) if the chunk is truncated."""
    if len(head) < 10:
        return 0, 0
    if name == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") for at in (4, 7))
        return width + 1, height + 1
    if name == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", head, 6)
    return width & 0x3FFF, height & 0x3FFF
