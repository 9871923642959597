"""The directories of a TIFF, read without its pixels.

Source: TIFF 6.0, https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf; BigTIFF,
https://libtiff.gitlab.io/libtiff/specification/bigtiff.html.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

SUBFILE, OLD_SUBFILE = 254, 255
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIPS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_BYTES, PLANAR = 273, 274, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILES = 322, 323, 324
SUB_DIRECTORIES, SAMPLE_FORMAT, JPEG_TABLES = 330, 339, 347
JPEG_START, JPEG_BYTES = 513, 514
DNG_VERSION: Final = 50706
SEPARATE_PLANES: Final = 2  # a value of PLANAR

_MOST_DIRECTORIES: Final = 64  # a raw file has 3 to 10
_MOST_ENTRIES: Final = 1_000
_MOST_VALUES: Final = 64  # of one entry: enough for the tags above
_INTEGERS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # TIFF type → struct format


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a directory; `value` holds the values, or their offset if they do not fit."""

    tag: int
    kind: int
    count: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """The byte order of a file ("<" or ">"), and whether its offsets have 8 bytes (BigTIFF)."""

    order: str
    big: bool

    @classmethod
    def of(cls, data: bytes) -> "Layout":
        """Return the layout that the header of a TIFF declares."""
        order = "<" if data[:2] == b"II" else ">"
        return cls(order, big=struct.unpack_from(f"{order}H", data, 2)[0] == 43)

    @property
    def header(self) -> struct.Struct:
        """The file's header, which ends with the offset of the first directory."""
        return struct.Struct(f"{self.order}{'8xQ' if self.big else '4xI'}")

    @property
    def offset(self) -> struct.Struct:
        """An offset."""
        return struct.Struct(f"{self.order}{'Q' if self.big else 'I'}")

    def first_offset(self, data: bytes) -> int | None:
        """Return the offset of the first directory. Returns None if the header is truncated."""
        return next(iter(_unpacked(self.header, data, 0)), None)

    def next_offset(self, data: bytes, offset: int) -> tuple[int, ...]:
        """Return the offset of the next directory in a tuple. Returns () if truncated."""
        end = offset + self._count.size + self._entry.size * self._number(data, offset)
        return _unpacked(self.offset, data, end)

    def entries(self, data: bytes, offset: int) -> Iterator[Entry]:
        """Yield the entries of the directory at `offset` that lie in the data."""
        start, size = offset + self._count.size, self._entry.size
        stop = min(start + size * self._number(data, offset), len(data) - size + 1)
        for at in range(start, stop, size):
            yield Entry(*self._entry.unpack_from(data, at))

    def _number(self, data: bytes, offset: int) -> int:
        """Return the number of entries that a directory declares."""
        return next(iter(_unpacked(self._count, data, offset)), 0)

    @property
    def _count(self) -> struct.Struct:
        return struct.Struct(f"{self.order}{'Q' if self.big else 'H'}")

    @property
    def _entry(self) -> struct.Struct:
        return struct.Struct(f"{self.order}{'HHQ8s' if self.big else 'HHI4s'}")


@dataclass(frozen=True, slots=True)
class Directory:
    """A TIFF directory: its offset and its integer entries, with at most 64 values each."""

    offset: int
    entries: Mapping[int, tuple[int, ...]] = field(repr=False)

    def value(self, tag: int, default: int = 0) -> int:
        """Return the first value of an entry, or `default` if the entry is missing."""
        return self.entries.get(tag, (default,))[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, 0 if missing."""
        return self.value(WIDTH), self.value(HEIGHT)

    @property
    def is_reduced(self) -> bool:
        """Whether the image is marked as a smaller version of another image of the file."""
        return bool(self.value(SUBFILE) & 1) or self.value(OLD_SUBFILE) == 2

    @property
    def is_full(self) -> bool:
        """Whether the image is marked as full-resolution."""
        return self.entries.get(SUBFILE) == (0,) or self.value(OLD_SUBFILE) == 1


def directories(data: bytes) -> list[Directory]:
    """Return the valid directories of a file, each followed by its sub-directories."""
    layout = Layout.of(data)
    results: list[Directory] = []
    known: set[int] = set()
    first = layout.first_offset(data)
    waiting = [] if first is None else [first]
    while waiting and len(results) < _MOST_DIRECTORIES:
        offset = waiting.pop(0)
        if offset in known or not 0 < offset < len(data):
            continue
        known.add(offset)
        directory = _directory(layout, data, offset)
        results.append(directory)
        below = directory.entries.get(SUB_DIRECTORIES, ())
        waiting = [*below, *layout.next_offset(data, offset), *waiting]
    return results


def beginning_with(data: bytes, offset: int) -> bytes:
    """Return the file with the directory at `offset` as its first one."""
    layout = Layout.of(data)
    end = layout.header.size
    return data[: end - layout.offset.size] + layout.offset.pack(offset) + data[end:]


def _directory(layout: Layout, data: bytes, offset: int) -> Directory:
    entries: dict[int, tuple[int, ...]] = {}
    for entry in islice(layout.entries(data, offset), _MOST_ENTRIES):
        if values := _integers(layout, data, entry):
            entries.setdefault(entry.tag, values)
    return Directory(offset, entries)


def _integers(layout: Layout, data: bytes, entry: Entry) -> tuple[int, ...]:
    """Return an entry's integers. Returns () for other types and truncated data."""
    if entry.kind not in _INTEGERS or not entry.count:
        return ()
    letter = _INTEGERS[entry.kind]
    values = struct.Struct(f"{layout.order}{min(entry.count, _MOST_VALUES)}{letter}")
    if struct.calcsize(f"={letter}") * entry.count <= len(entry.value):
        return values.unpack_from(entry.value)
    return _unpacked(values, data, layout.offset.unpack(entry.value)[0])


def _unpacked(form: struct.Struct, data: bytes, offset: int) -> tuple[int, ...]:
    """Return the numbers at an offset. Returns () if the data are too short."""
    return form.unpack_from(data, offset) if 0 <= offset <= len(data) - form.size else ()
