"""TIFF, and EXIF, which is laid out like it: the tags of the directories that Pillow reads.

Tags may share their bytes, so that a few megabytes announce terabytes; Pillow 12.3 copies the bytes
of each tag, makes an object of each number, and a Python object for each strip or tile.
Source of the layout: https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imgsearch.errors import ImageCorrupt
from imgsearch.images.bounds.limits import check_count

# bytes of a value by its type; Pillow ignores tags of other types
_UNITS: Final = dict(
    zip((*range(1, 14), 16), (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 8), strict=True)
)
_TEXTS: Final = frozenset((1, 2, 7))  # types whose value stays one string of bytes
_NUMBERS: Final = 200_000  # of one tag: a 16-bit colour map has 196,608
_TAGS: Final = 65_535  # what the smaller directories can hold
_SLACK: Final = 16 << 20  # bytes that tags may share: a broken directory announces some at random
_MOST_TAG_BYTES: Final = 128 << 20  # of one directory, which Pillow copies twice
_PREFIX: Final = b"Exif\0\0"
_PREFIXES: Final = 8  # Pillow takes them off one by one, copying the rest
_INTEROPERABILITY: Final = 40965
_DIRECTORIES: Final = (34665, 34853, _INTEROPERABILITY)  # EXIF and GPS: Pillow reads these as well
_WIDTH, _HEIGHT, _SAMPLES, _ROWS = 256, 257, 277, 278
_STRIPS, _TILES, _TILE_WIDTH, _TILE_HEIGHT = 273, 324, 322, 323
_PLANAR: Final = 284
_SPARE: Final = 16  # strips or tiles that cost little


@dataclass(frozen=True, slots=True)
class _Layout:
    """Byte order and size of offsets."""

    order: str
    big: bool

    @property
    def entry(self) -> struct.Struct:
        return struct.Struct(self.order + ("HHQ8s" if self.big else "HHL4s"))

    @property
    def count(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "H"))

    @property
    def offset(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "L"))


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag: its number, type, how many values, and their first one."""

    number: int
    kind: int
    count: int
    size: int
    first: int


def check(data: bytes, _max_pixels: int | None) -> None:
    """Refuse a TIFF whose first directory and its EXIF hold too much."""
    for layout, start in _starts(data):
        tags = _checked(data, start, layout)
        _check_strips(tags)
        for number in _DIRECTORIES:
            if number in tags:
                inner = _checked(data, tags[number].first, layout)
                if _INTEROPERABILITY in inner:
                    _checked(data, inner[_INTEROPERABILITY].first, layout)


def check_exif(data: bytes) -> None:
    """Refuse EXIF whose tags announce more than it holds.

    Raises:
        ImageTooLarge: its tags share too many bytes, or one has too many numbers.
        ImageCorrupt: it begins with its name again and again.
    """
    at = 0
    while data.startswith(_PREFIX, at):
        at += len(_PREFIX)
        if at > _PREFIXES * len(_PREFIX):
            raise ImageCorrupt("the EXIF begins again and again")
    content = data[at:]
    for layout, start in _starts(content):
        _checked(content, start, layout)


def _starts(data: bytes) -> Iterator[tuple[_Layout, int]]:
    """Yield each layout that a decoder may read, with the offset of the first directory.

    Pillow 12.3 reads a big-endian BigTIFF as a classic TIFF, so both layouts are yielded.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    if 43 in data[2:4] and len(data) >= 16:
        yield _Layout(order, big=True), int(struct.unpack_from(order + "Q", data, 8)[0])
    if data[2:3] != b"+" and len(data) >= 8:
        yield _Layout(order, big=False), int(struct.unpack_from(order + "L", data, 4)[0])


def _checked(data: bytes, start: int, layout: _Layout) -> dict[int, _Tag]:
    """Return the tags of a directory by their number.

    Raises:
        ImageTooLarge: they hold too much.
    """
    tags: dict[int, _Tag] = {}
    most = min(len(data) + _SLACK, _MOST_TAG_BYTES)
    total = 0
    for number, tag in enumerate(_tags(data, start, layout), 1):
        check_count(number, _TAGS, "tags in a directory")
        total += tag.size
        check_count(total, most, "bytes in the tags of a directory")
        if tag.kind not in _TEXTS:
            check_count(tag.count, _NUMBERS, f"numbers in tag {tag.number}")
        tags[tag.number] = tag
    return tags


def _tags(data: bytes, start: int, layout: _Layout) -> Iterator[_Tag]:
    """Yield what Pillow keeps of a directory, up to a tag that is cut short."""
    entry, offset = layout.entry, layout.offset
    if start + layout.count.size > len(data):
        return
    (number,) = layout.count.unpack_from(data, start)
    at = start + layout.count.size
    for _ in range(number):
        if at + entry.size > len(data):
            return
        tag, kind, count, value = entry.unpack_from(data, at)
        at += entry.size
        unit = _UNITS.get(kind)
        if unit is None:
            continue
        size = count * unit
        if size > offset.size:
            (place,) = offset.unpack(value)
            if place + size > len(data):
                return
            value = data[place : place + unit]
        yield _Tag(tag, kind, count, size, _number(value[:unit], layout.order))


def _number(value: bytes, order: str) -> int:
    return int.from_bytes(value, "little" if order == "<" else "big")


def _check_strips(tags: dict[int, _Tag]) -> None:
    """Refuse more strips or tiles than the image needs: each is decoded, and over the others."""
    width, height = (max(1, _first(tags, number, 1)) for number in (_WIDTH, _HEIGHT))
    planes = _first(tags, _SAMPLES, 1) if _first(tags, _PLANAR, 1) == 2 else 1
    rows = max(1, _first(tags, _ROWS, height))
    wide, high = (max(1, _first(tags, number, 1)) for number in (_TILE_WIDTH, _TILE_HEIGHT))
    strips = -(-height // rows) * planes
    tiles = -(-width // wide) * -(-height // high) * planes
    for number, what, needed in ((_STRIPS, "strips", strips), (_TILES, "tiles", tiles)):
        if number in tags and tags[number].count > max(2 * needed, _SPARE):
            raise ImageCorrupt(f"{tags[number].count:,} {what}, it needs {needed:,}")


def _first(tags: dict[int, _Tag], number: int, default: int) -> int:
    return tags[number].first if number in tags else default
