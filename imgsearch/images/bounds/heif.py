"""AVIF and HEIC: the boxes of the ISO base media format.

libavif 1.4 searches a list of all items for each item that a box names, and a table for each chunk
of a track. For tables of a few megabytes this takes minutes. It also joins the extents of an item.
Source of the layout: ISO/IEC 14496-12 and 23008-12; https://aomediacodec.github.io/av1-avif/
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from imgsearch.images.bounds.av1 import frame_sizes
from imgsearch.images.bounds.limits import check_count, check_size
from imgsearch.images.bounds.tiff import check_exif
from imgsearch.images.boxes import HEADERS, boxes_in

_BOXES: Final = 20_000
_ENTRIES: Final = 10_000  # items, and references to them
_EXTENTS: Final = 100_000
_SAMPLES: Final = 200_000  # of a track: 200,000 frames are two hours at 30 a second
_LOOKUPS: Final = 100_000_000  # chunks times entries of the table that is searched for each
_EXIF_BYTES: Final = 4 << 20
_DEPTH: Final = 8
_EXIF, _VIDEO = b"Exif", b"av01"
_TRACK: Final = -1  # used as an item's number
_PARENTS: Final = frozenset(  # the boxes whose inner boxes are counted
    (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"meta", b"iref", b"iprp", b"ipco")
)


@dataclass(slots=True)
class _Walk:
    """Counts and contents of the boxes that were read so far."""

    data: bytes
    boxes: int = 0
    entries: int = 0
    extents: int = 0
    chunks: int = 0
    runs: int = 0
    first: int = 0  # offset of a track's first sample
    length: int = 0  # bytes of that sample
    kinds: dict[int, bytes] = field(default_factory=dict)  # of the items
    stored: list[int] = field(default_factory=list)  # start of each idat box's content
    # number, construction method and extents (offset, length) of each item
    places: list[tuple[int, int, list[tuple[int, int]]]] = field(default_factory=list)


def check(data: bytes, max_pixels: int | None) -> None:
    """Reject an AVIF or HEIC with too many boxes, items or table entries, or too much EXIF.

    The size of an AV1 frame is read from its stream, not from the boxes.
    """
    walk = _Walk(data)
    _walk(walk, 0, len(data), 0)
    for item, method, extents in walk.places:
        kind = walk.kinds.get(item, _VIDEO)
        if kind not in (_EXIF, _VIDEO):
            continue
        for base in walk.stored if method == 1 else [0]:
            places = [(base + at, length) for at, length in extents]
            if kind == _EXIF:
                _check_exif(data, places)
            else:
                _check_frames(_joined(data, places), max_pixels)


def _check_frames(content: bytes, max_pixels: int | None) -> None:
    for width, height in frame_sizes(content):
        check_size(width, height, max_pixels)


def _joined(data: bytes, extents: list[tuple[int, int]]) -> bytes:
    """Return an item's content; an extent of length 0 reaches to the end of the file."""
    size = len(data)
    places = [(at, min(at + length, size) if length else size) for at, length in extents]
    check_count(sum(max(0, end - at) for at, end in places), size, "bytes in an item")
    return b"".join(data[at:end] for at, end in places)


def _walk(walk: _Walk, at: int, end: int, depth: int, outer: bytes = b"") -> None:
    """Count and check the boxes in a range, including inner boxes."""
    for name, start, stop in boxes_in(walk.data, at, end):
        walk.boxes += 1
        check_count(walk.boxes, _BOXES, "boxes")
        if name in _PARENTS and depth < _DEPTH:
            if name == b"stbl":
                walk.chunks = walk.runs = walk.first = walk.length = 0
            _walk(walk, start + HEADERS.get(name, 0), stop, depth + 1, name)
            if name == b"stbl" and walk.first:
                walk.places.append((_TRACK, 0, [(walk.first, walk.length)]))
        elif outer == b"iref":
            _count_entries(walk, (stop - start) // 2)
        elif name in _READERS:
            _READERS[name](walk, start, stop)


def _count_entries(walk: _Walk, number: int) -> None:
    walk.entries += number
    check_count(walk.entries, _ENTRIES, "items and references")


def _number(data: bytes, at: int, size: int) -> int:
    """Return a big-endian number; bytes after the end of the data are 0."""
    return int.from_bytes(data[at : at + size].ljust(size, b"\0"), "big")


def _table(walk: _Walk, start: int, _stop: int) -> None:
    """Check the number of entries in a table of samples."""
    check_count(_number(walk.data, start + 4, 4), _SAMPLES, "entries in a table of samples")


def _sizes(walk: _Walk, start: int, _stop: int) -> None:
    check_count(_number(walk.data, start + 8, 4), _SAMPLES, "samples")
    walk.length = _number(walk.data, start + 4, 4) or _number(walk.data, start + 12, 4)


def _runs(walk: _Walk, start: int, stop: int) -> None:
    _table(walk, start, stop)
    walk.runs = max(walk.runs, _number(walk.data, start + 4, 4))
    check_count(walk.runs * walk.chunks, _LOOKUPS, "lookups in a table of samples")


def _chunks(walk: _Walk, start: int, stop: int) -> None:
    """Read a track's chunk count and first chunk offset, and check the count.

    Offsets have 4 bytes in ``stco`` and 8 in ``co64``.
    """
    _table(walk, start, stop)
    size = 8 if walk.data[start - 4 : start] == b"co64" else 4
    walk.first = _number(walk.data, start + 8, size)
    walk.chunks = max(walk.chunks, _number(walk.data, start + 4, 4))
    check_count(walk.runs * walk.chunks, _LOOKUPS, "lookups in a table of samples")


def _stored(walk: _Walk, start: int, _stop: int) -> None:
    walk.stored.append(start)


def _entry(walk: _Walk, start: int, _stop: int) -> None:
    """Record the type of an item."""
    _count_entries(walk, 1)
    wide = walk.data[start : start + 1] == b"\3"
    item = _number(walk.data, start + 4, 4 if wide else 2)
    at = start + (10 if wide else 8)
    walk.kinds[item] = walk.data[at : at + 4]


def _locations(walk: _Walk, start: int, stop: int) -> None:
    """Read the extents of the items."""
    data, version = walk.data, _number(walk.data, start, 1)
    sizes = _number(data, start + 4, 2)
    offset_size, length_size, base_size, index_size = (
        sizes >> shift & 15 for shift in (12, 8, 4, 0)
    )
    item_size = 4 if version == 2 else 2
    number = _number(data, start + 6, item_size)
    _count_entries(walk, number)
    at = start + 6 + item_size
    for _ in range(number):
        if at >= stop:
            return
        item, method = _number(data, at, item_size), 0
        at += item_size
        if version:
            method = _number(data, at, 2) & 15
            at += 2
        base = _number(data, at + 2, base_size)
        extents = _number(data, at + 2 + base_size, 2)
        at += 4 + base_size
        walk.extents += extents
        check_count(walk.extents, _EXTENTS, "extents of items")
        places = []
        for _ in range(extents):
            at += index_size if version else 0
            offset, length = (
                _number(data, at, offset_size),
                _number(data, at + offset_size, length_size),
            )
            places.append((base + offset, length))
            at += offset_size + length_size
        walk.places.append((item, method, places))


def _associations(walk: _Walk, start: int, stop: int) -> None:
    """Count the properties of the items, because libavif copies each one."""
    data, flags = walk.data, _number(walk.data, start, 4)
    item_size, property_size = 4 if flags >> 24 else 2, 2 if flags & 1 else 1
    at, total = start + 8, 0
    for number in range(1, _number(data, start + 4, 4) + 1):
        if at >= stop:
            break
        check_count(number, _ENTRIES, "items with properties")
        properties = _number(data, at + item_size, 1)
        total += properties
        at += item_size + 1 + properties * property_size
    check_count(total, _EXTENTS, "properties of items")


def _check_exif(data: bytes, extents: list[tuple[int, int]]) -> None:
    """Reject an EXIF item with too much content."""
    content = _joined(data, extents)
    check_count(len(content), _EXIF_BYTES, "bytes of EXIF")
    check_exif(content[4:])
    # a decoder may also honor the first four bytes, which hold the offset of the TIFF header
    check_exif(content[4 + _number(content, 0, 4) :])


_READERS: Final[dict[bytes, Callable[[_Walk, int, int], None]]] = {
    **dict.fromkeys((b"stts", b"stss", b"ctts"), _table),
    **dict.fromkeys((b"stco", b"co64"), _chunks),
    b"stsc": _runs,
    b"stsz": _sizes,
    b"idat": _stored,
    b"infe": _entry,
    b"iloc": _locations,
    b"ipma": _associations,
}
