"""TIFF and EXIF: the tags of the directories that Pillow reads.

Tags may share their bytes, so a few megabytes can declare terabytes. Pillow 12.3 copies the bytes
of each tag, and creates an object for each number and for each strip or tile.
Source of the layout: https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imgsearch.errors import ImageCorrupt
from imgsearch.images import tiff
from imgsearch.images.bounds.limits import check_count
from imgsearch.images.tiff import Layout

# bytes of a value by its type; Pillow ignores tags of other types
_UNITS: Final = dict(
    zip((*range(1, 14), 16), (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 8), strict=True)
)
_TEXTS: Final = frozenset((1, 2, 7))  # types whose value stays one string of bytes
_NUMBERS: Final = 200_000  # of one tag: a 16-bit color map has 196,608
_TAGS: Final = 65_535  # the most entries that a classic directory can have
_SLACK: Final = 16 << 20  # bytes that tags may share: corrupt directories declare random sizes
_MOST_TAG_BYTES: Final = 128 << 20  # of one directory, which Pillow copies twice
_PREFIX: Final = b"Exif\0\0"
_PREFIXES: Final = 8  # Pillow removes them one by one, and copies the rest each time
_INTEROPERABILITY: Final = 40965
_DIRECTORIES: Final = (34665, 34853, _INTEROPERABILITY)  # EXIF and GPS: Pillow reads these, too
_SPARE: Final = 16  # strips or tiles that cost little


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag: its number, its type, the count and the bytes of its values, and the first value."""

    number: int
    kind: int
    count: int
    size: int
    first: int


def check(data: bytes, _max_pixels: int | None) -> None:
    """Reject a TIFF whose first directory or EXIF has too much data."""
    for layout, start in _starts(data):
        tags = _check_tags(data, start, layout)
        _check_strips(tags)
        for number in _DIRECTORIES:
            if number in tags:
                inner = _check_tags(data, tags[number].first, layout)
                if _INTEROPERABILITY in inner:
                    _check_tags(data, inner[_INTEROPERABILITY].first, layout)


def check_exif(data: bytes) -> None:
    """Reject EXIF whose tags declare more data than it has.

    Raises:
        ImageTooLarge: the tags share too many bytes, or one has too many numbers.
        ImageCorrupt: the prefix is repeated many times.
    """
    at = 0
    while data.startswith(_PREFIX, at):
        at += len(_PREFIX)
        if at > _PREFIXES * len(_PREFIX):
            raise ImageCorrupt(f"the EXIF has more than {_PREFIXES} prefixes")
    content = data[at:]
    for layout, start in _starts(content):
        _check_tags(content, start, layout)


def _starts(data: bytes) -> Iterator[tuple[Layout, int]]:
    """Yield each layout that a decoder may read, with the offset of the first directory.

    Pillow 12.3 reads a big-endian BigTIFF as a classic TIFF, so both layouts are yielded.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    layouts = []
    if b"+" in data[2:4]:  # 43, the version of BigTIFF
        layouts.append(Layout(order, big=True))
    if data[2:3] != b"+":
        layouts.append(Layout(order, big=False))
    for layout in layouts:
        start = layout.first_offset(data)
        if start is not None:
            yield layout, start


def _check_tags(data: bytes, start: int, layout: Layout) -> dict[int, _Tag]:
    """Return the tags of a directory by number.

    Raises:
        ImageTooLarge: the tags have too much data.
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


def _tags(data: bytes, start: int, layout: Layout) -> Iterator[_Tag]:
    """Yield the tags of a directory that Pillow keeps, up to a truncated tag."""
    for entry in layout.entries(data, start):
        unit = _UNITS.get(entry.kind)
        if unit is None:
            continue
        size, value = entry.count * unit, entry.value
        if size > len(value):
            (place,) = layout.offset.unpack(value)
            if place + size > len(data):
                return
            value = data[place : place + unit]
        yield _Tag(entry.tag, entry.kind, entry.count, size, _number(value[:unit], layout.order))


def _number(value: bytes, order: str) -> int:
    return int.from_bytes(value, "little" if order == "<" else "big")


def _check_strips(tags: dict[int, _Tag]) -> None:
    """Reject far more strips or tiles than the image needs, because each one is decoded."""
    width, height = (max(1, _first(tags, number, 1)) for number in (tiff.WIDTH, tiff.HEIGHT))
    separate = _first(tags, tiff.PLANAR, 1) == tiff.SEPARATE_PLANES
    planes = _first(tags, tiff.SAMPLES, 1) if separate else 1
    rows = max(1, _first(tags, tiff.STRIP_ROWS, height))
    wide, high = (max(1, _first(tags, number, 1)) for number in (tiff.TILE_WIDTH, tiff.TILE_HEIGHT))
    strips = -(-height // rows) * planes
    tiles = -(-width // wide) * -(-height // high) * planes
    for number, what, needed in ((tiff.STRIPS, "strips", strips), (tiff.TILES, "tiles", tiles)):
        if number in tags and tags[number].count > max(2 * needed, _SPARE):
            raise ImageCorrupt(f"{tags[number].count:,} {what}, but the image needs {needed:,}")


def _first(tags: dict[int, _Tag], number: int, default: int) -> int:
    return tags[number].first if number in tags else default
