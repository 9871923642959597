"""The clean aperture of AVIF: the visible part of the picture, which Pillow 12.3 ignores.

Source: the property ``clap`` in ISO/IEC 14496-12, 12.1.4, and 23008-12, 6.5.9.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from imgsearch.images.boxes import boxes_at, boxes_in

_PATH_TO_TRACKS: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"av01")
_PATH_TO_PROPERTIES: Final = (b"meta", b"iprp", b"ipco")
_CLAP: Final = struct.Struct(">IIIIiIiI")  # width, height, offsets of the center: fractions


def clean_aperture(data: bytes, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return the clean aperture before rotation: left, top, right and bottom.

    Returns None if the whole picture is visible. An aperture that reaches outside the picture is
    ignored, as in browsers.
    """
    # libavif decodes the track of a sequence, and the primary item of other files
    prop = _track_property(data) if data[8:12] == b"avis" else _item_property(data)
    if prop is None or len(prop) < _CLAP.size:
        return None
    values = _CLAP.unpack_from(prop)
    if 0 in values[1::2]:
        return None
    wide, high, right, down = (
        Fraction(*pair) for pair in zip(values[::2], values[1::2], strict=True)
    )
    left, top = round((width - wide) / 2 + right), round((height - high) / 2 + down)
    box = (left, top, left + round(wide), top + round(high))
    inside = 0 <= left < box[2] <= width and 0 <= top < box[3] <= height
    return box if inside else None


def _track_property(data: bytes) -> bytes | None:
    """Return the content of the video track's ``clap`` box. Returns None if it has none."""
    for start, end in boxes_at(data, *_PATH_TO_TRACKS):
        for name, first, last in boxes_in(data, start, end):
            if name == b"clap":
                return data[first:last]
    return None


def _item_property(data: bytes) -> bytes | None:
    """Return the content of the primary item's ``clap`` box. Returns None if it has none."""
    numbers = set(_property_numbers(data, _primary(data)))
    for start, end in boxes_at(data, *_PATH_TO_PROPERTIES):
        for number, (name, first, last) in enumerate(boxes_in(data, start, end), 1):
            if name == b"clap" and number in numbers:
                return data[first:last]
    return None


def _primary(data: bytes) -> int:
    """Return the id of the primary item, or 0 if the file has none."""
    for start, end in boxes_at(data, b"meta", b"pitm"):
        return int.from_bytes(data[start + 4 : min(end, start + (8 if data[start] else 6))])
    return 0


def _property_numbers(data: bytes, item: int) -> Iterator[int]:
    """Yield the indices of an item's properties, which start at 1."""
    for start, end in boxes_at(data, b"meta", b"iprp", b"ipma"):
        item_size = 4 if data[start : start + 1] > b"\0" else 2
        size = 2 if data[start + 3 : start + 4] > b"\0" and data[start + 3] & 1 else 1
        place = start + 8
        while place + item_size < end:
            number = int.from_bytes(data[place : place + item_size])
            count, place = data[place + item_size], place + item_size + 1
            if number == item:
                for at in range(place, min(place + count * size, end), size):
                    # the uppermost bit marks properties that a reader must support
                    yield int.from_bytes(data[at : at + size]) & (0x7FFF if size == 2 else 0x7F)
            place += count * size
