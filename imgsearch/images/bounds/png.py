"""PNG: the chunks around the pixels.

Pillow 12.3 reads each chunk in Python, before and after the pixels. It inflates up to a megabyte
for each profile and text. While it opens an animation, it fills a canvas for the first frame.
Source of the layout: https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from imgsearch.images.bounds.limits import check_count, check_size
from imgsearch.images.bounds.tiff import check_exif

SIGNATURE: Final = 8
_CHUNKS: Final = 200_000  # 0.5 s in Pillow; 1.6 GB of pixels in the 8 kB chunks that libpng writes
_PACKED: Final = frozenset((b"iCCP", b"zTXt", b"iTXt"))
_PACKED_CHUNKS: Final = 256  # each inflated to at most a megabyte: 0.5 s
_OTHER_BYTES: Final = 64 << 20  # of all other chunks together; Pillow holds up to four copies
_SMALL: Final = frozenset(
    (b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"acTL", b"fcTL")
)
_SMALL_BYTES: Final = 1 << 16  # the largest, a palette, has 768
_TEXT: Final = frozenset((b"tEXt", b"zTXt", b"iTXt"))
WITH_EXIF: Final = _TEXT | {b"eXIf"}
_TEXT_BYTES: Final = 1 << 20  # the most that Pillow inflates of a text
_PIXELS: Final = frozenset((b"IDAT", b"fdAT"))
ANIMATION: Final = frozenset((b"acTL", b"fcTL", b"fdAT"))
_HEX_EXIF: Final = b"Raw profile type exif"  # key of a text with EXIF, as ImageMagick writes it


def check(data: bytes, max_pixels: int | None) -> None:
    """Reject a PNG with too many chunks, compressed chunks or bytes outside the pixels."""
    if data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        check_size(width, height, max_pixels)
    packed = other = 0
    for number, (name, start, end) in enumerate(chunks(data), 1):
        check_count(number, _CHUNKS, "chunks")
        other += 0 if name in _PIXELS else end - start
        check_count(other, _OTHER_BYTES, "bytes beside the pixels")
        if name in _PACKED:
            packed += 1
            check_count(packed, _PACKED_CHUNKS, "compressed profiles and texts")
        if name in _SMALL:
            check_count(end - start, _SMALL_BYTES, f"bytes in a chunk {name.decode('ascii')}")
        if name == b"eXIf":
            check_exif(data[start:end])
        elif name in _TEXT:
            _check_text(name, data, start, end)


def head(data: bytes) -> bytes:
    """Return the PNG without pixel data.

    It has the chunks before the first IDAT, later chunks that may hold EXIF, and an empty IDAT.
    """
    parts = [data[:SIGNATURE]]
    pixels = False
    for name, start, end in chunks(data):
        if name in _PIXELS:
            pixels = True
        elif pixels and name in WITH_EXIF:
            # with a new checksum: Pillow does not verify checksums after the pixels
            parts.append(_chunk(name, data[start:end]))
        elif not pixels and name not in ANIMATION:
            parts.append(data[start - 8 : end + 4])
    return b"".join((*parts, _chunk(b"IDAT", b"") if pixels else b""))


def _chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, start, end) of each chunk's content, up to an invalid chunk.

    The content of the last chunk may be truncated.
    """
    at, size = SIGNATURE, len(data)
    while at + 8 <= size:
        length, name = struct.unpack_from(">I4s", data, at)
        if not name.isalpha():
            return
        yield name, at + 8, min(at + 8 + length, size)
        if name == b"IEND":
            return
        at += length + 12


def _check_text(name: bytes, data: bytes, start: int, end: int) -> None:
    """Reject a text chunk whose EXIF has too much content."""
    key_end = data.find(b"\0", start, min(start + 80, end))
    key = data[start:key_end] if key_end >= 0 else b""
    if key == b"exif" and name == b"tEXt":
        check_exif(data[key_end + 1 : end])
    if key != _HEX_EXIF:
        return
    text = _text(name, data[key_end + 1 : end])
    try:
        exif = bytes.fromhex("".join(text.decode("latin-1").split("\n")[3:]))
    except ValueError:  # other characters than hexadecimal digits: Pillow ignores the text
        return
    check_exif(exif)


def _text(name: bytes, content: bytes) -> bytes:
    """Return the text after a key, decompressed. Returns b"" if it is invalid."""
    if name == b"tEXt":
        return content
    if name == b"iTXt":
        packed = content[:1] != b"\0"
        content = b"\0" + content[2:].split(b"\0", 2)[-1]
        if not packed:
            return content[1:]
    try:
        return zlib.decompressobj().decompress(content[1:], _TEXT_BYTES)
    except zlib.error:
        return b""
