"""A TIFF's directories, read without its pixels.

Source: TIFF 6.0, https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf; BigTIFF,
https://libtiff.gitlab.io/libtiff/specification/bigtiff.html.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

SUBFILE, OLD_SUBFILE = 254, 255
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIPS, ORIENTATION, SAMPLES, STRIP_BYTES, PLANAR = 273, 274, 277, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILES = 322, 323, 324
SUB_DIRECTORIES, SAMPLE_FORMAT, JPEG_TABLES = 330, 339, 347
JPEG_START, JPEG_BYTES = 513, 514
DNG_VERSION: Final = 50706

_MOST_DIRECTORIES: Final = 64  # a raw file has 3 to 10
_MOST_ENTRIES: Final = 1_000
_MOST_VALUES: Final = 64  # of one entry: enough for all that is asked here
_INTEGERS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # TIFF type → struct's


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory: where it lies, and its entries of integers, the first 64 values of each."""

    offset: int
    entries: Mapping[int, tuple[int, ...]] = field(repr=False)

    def value(self, tag: int, default: int = 0) -> int:
        """Return an entry's first value."""
        return self.entries.get(tag, (default,))[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, 0 where they are missing."""
        return self.value(WIDTH), self.value(HEIGHT)

    @property
    def is_reduced(self) -> bool:
        """Whether it says that it is a smaller version of another image of the file."""
        return bool(self.value(SUBFILE) & 1) or self.value(OLD_SUBFILE) == 2

    @property
    def is_full(self) -> bool:
        """Whether it says that it is an image of its own."""
        return self.entries.get(SUBFILE) == (0,) or self.value(OLD_SUBFILE) == 1


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file's numbers are written: byte order, and the 4 or 8 bytes of an offset."""

    order: str
    big: bool

    @classmethod
    def of(cls, data: bytes) -> "_Layout":
        order = "<" if data[:2] == b"II" else ">"
        return cls(order, struct.unpack_from(f"{order}H", data, 2)[0] == 43)

    @property
    def first(self) -> struct.Struct:
        """The header up to the offset of the first directory."""
        return struct.Struct(f"{self.order}{'8xQ' if self.big else '4xI'}")

    @property
    def count(self) -> struct.Struct:
        return struct.Struct(f"{self.order}{'Q' if self.big else 'H'}")

    @property
    def entry(self) -> struct.Struct:
        """Tag, type, count; the value follows."""
        return struct.Struct(f"{self.order}{'HHQ8s' if self.big else 'HHI4s'}")

    @property
    def offset(self) -> struct.Struct:
        return struct.Struct(f"{self.order}{'Q' if self.big else 'I'}")


def directories(data: bytes) -> list[Directory]:
    """Return the directories of a file, those below another one after it; as far as they parse."""
    layout = _Layout.of(data)
    found: list[Directory] = []
    known: set[int] = set()
    waiting = list(_unpacked(layout.first, data, 0))
    while waiting and len(found) < _MOST_DIRECTORIES:
        offset = waiting.pop(0)
        if offset in known or not 0 < offset < len(data):
            continue
        known.add(offset)
        directory, following = _directory(layout, data, offset)
        found.append(directory)
        waiting = [*directory.entries.get(SUB_DIRECTORIES, ()), *following, *waiting]
    return found


def beginning_with(data: bytes, offset: int) -> bytes:
    """Return the file with another directory as its first one."""
    layout = _Layout.of(data)
    end = layout.first.size
    return data[: end - layout.offset.size] + layout.offset.pack(offset) + data[end:]


def _directory(layout: _Layout, data: bytes, offset: int) -> tuple[Directory, tuple[int, ...]]:
    """Return the directory at an offset, and the offset of the one behind it."""
    (number,) = _unpacked(layout.count, data, offset) or (0,)
    start, size = offset + layout.count.size, layout.entry.size
    entries: dict[int, tuple[int, ...]] = {}
    for place in range(start, start + size * min(number, _MOST_ENTRIES), size):
        for tag, values in _entry(layout, data, place):
            entries.setdefault(tag, values)
    return Directory(offset, entries), _unpacked(layout.offset, data, start + size * number)


def _entry(layout: _Layout, data: bytes, place: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the tag and the values of an entry of integers; nothing for another one."""
    if place > len(data) - layout.entry.size:
        return
    tag, kind, count, inline = layout.entry.unpack_from(data, place)
    if kind not in _INTEGERS or not count:
        return
    values = struct.Struct(f"{layout.order}{min(count, _MOST_VALUES)}{_INTEGERS[kind]}")
    if struct.calcsize(_INTEGERS[kind]) * count <= len(inline):
        yield tag, values.unpack_from(inline)
    elif read := _unpacked(values, data, layout.offset.unpack(inline)[0]):
        yield tag, read


def _unpacked(form: struct.Struct, data: bytes, place: int) -> tuple[int, ...]:
    """Return what is packed at a place, nothing where the data end before."""
    return form.unpack_from(data, place) if 0 <= place <= len(data) - form.size else ()
