"""AVIF: the part of the picture that is meant to be seen, which Pillow 12.3 does not cut out.

Source: the property ``clap`` (clean aperture) in ISO/IEC 14496-12, 12.1.4, and 23008-12, 6.5.9.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from imgsearch.images.boxes import boxes_at, boxes_in

_PATH_TO_TRACKS: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"av01")
_PATH_TO_PROPERTIES: Final = (b"meta", b"iprp", b"ipco")
_CLAP: Final = struct.Struct(">IIIIiIiI")  # width, height, offsets from the middle: fractions


def clean_aperture(data: bytes, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return left, top, right and bottom of what is meant to be seen, before it is turned.

    None for all of it. An aperture that does not lie in the picture is passed over, as browsers do.
    """
    # of a sequence libavif takes the track, of other files the primary item
    found = _of_track(data) if data[8:12] == b"avis" else _of_item(data)
    if found is None or len(found) < _CLAP.size:
        return None
    values = _CLAP.unpack_from(found)
    if 0 in values[1::2]:
        return None
    wide, high, right, down = (
        Fraction(*pair) for pair in zip(values[::2], values[1::2], strict=True)
    )
    left, top = round((width - wide) / 2 + right), round((height - high) / 2 + down)
    box = (left, top, left + round(wide), top + round(high))
    inside = 0 <= left < box[2] <= width and 0 <= top < box[3] <= height
    return box if inside else None


def _of_track(data: bytes) -> bytes | None:
    for start, end in boxes_at(data, *_PATH_TO_TRACKS):
        for name, first, last in boxes_in(data, start, end):
            if name == b"clap":
                return data[first:last]
    return None


def _of_item(data: bytes) -> bytes | None:
    """Return the property of the primary item."""
    wanted = set(_property_numbers(data, _primary(data)))
    for start, end in boxes_at(data, *_PATH_TO_PROPERTIES):
        for number, (name, first, last) in enumerate(boxes_in(data, start, end), 1):
            if name == b"clap" and number in wanted:
                return data[first:last]
    return None


def _primary(data: bytes) -> int:
    """Return the number of the primary item, 0 where none is named."""
    for start, end in boxes_at(data, b"meta", b"pitm"):
        return int.from_bytes(data[start + 4 : min(end, start + (8 if data[start] else 6))])
    return 0


def _property_numbers(data: bytes, item: int) -> Iterator[int]:
    """Yield the numbers of an item's properties, counted from 1."""
    for start, end in boxes_at(data, b"meta", b"iprp", b"ipma"):
        item_size = 4 if data[start : start + 1] > b"\0" else 2
        each = 2 if data[start + 3 : start + 4] > b"\0" and data[start + 3] & 1 else 1
        place = start + 8
        while place + item_size < end:
            number = int.from_bytes(data[place : place + item_size])
            count, place = data[place + item_size], place + item_size + 1
            if number == item:
                for at in range(place, min(place + count * each, end), each):
                    # the uppermost bit says that a reader has to know the property
                    yield int.from_bytes(data[at : at + each]) & (0x7FFF if each == 2 else 0x7F)
            place += count * each
