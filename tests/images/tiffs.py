"""TIFF files written by hand, so that every tag and byte is known."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_LONG = {273, 279, 324, 325, 330, 513, 514}


@dataclass
class Page:
    """A directory: its tags, the bytes of its strips (or tiles), and the directories below it."""

    tags: Mapping[int, Any]
    strips: Sequence[bytes] = ()
    below: Sequence["Page"] = ()
    jpeg: bytes = b""
    tiled: bool = field(default=False, kw_only=True)


def tiff(*pages: Page, order: str = "<", big: bool = False, mark: bytes = b"") -> bytes:
    """Return a file of these pages, classic or BigTIFF; `mark` follows the header."""
    magic = struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
    writer = _Writer(order, big)
    pointer = len(writer.put((b"II" if order == "<" else b"MM") + magic))
    writer.put(bytes(writer.room) + mark)
    for page in pages:
        place, following = writer.page(page)
        writer.point(pointer, place)
        pointer = following
    return bytes(writer.out)


class _Writer:
    def __init__(self, order: str, big: bool) -> None:
        self.out, self.order = bytearray(), order
        self.offset, self.count = ("Q", "Q") if big else ("I", "H")
        self.room = struct.calcsize(order + self.offset)

    def put(self, data: bytes) -> bytearray:
        self.out += data
        return self.out

    def placed(self, data: bytes) -> int:
        return len(self.put(data)) - len(data)

    def point(self, place: int, value: int) -> None:
        struct.pack_into(self.order + self.offset, self.out, place, value)

    def page(self, page: Page) -> tuple[int, int]:
        """Write a page; return its offset and the position of the next page's offset."""
        tags = {tag: list(np.atleast_1d(value)) for tag, value in page.tags.items()}
        if page.strips:
            tags[324 if page.tiled else 273] = [self.placed(strip) for strip in page.strips]
            tags[325 if page.tiled else 279] = [len(strip) for strip in page.strips]
        if page.jpeg:
            tags[513], tags[514] = [self.placed(page.jpeg)], [len(page.jpeg)]
        if page.below:
            tags[330] = [self.page(child)[0] for child in page.below]
        entries = b"".join(self.entry(tag, values) for tag, values in sorted(tags.items()))
        place = self.placed(struct.pack(self.order + self.count, len(tags)) + entries)
        return place, self.placed(bytes(self.room))

    def entry(self, tag: int, values: Sequence[Any]) -> bytes:
        kind, form = (4, "I") if tag in _LONG or max(values) > 65_535 else (3, "H")
        data = struct.pack(f"{self.order}{len(values)}{form}", *map(int, values))
        if len(data) > self.room:
            data = struct.pack(self.order + self.offset, self.placed(data))
        head = struct.pack(f"{self.order}HH{self.offset}", tag, kind, len(values))
        return head + data.ljust(self.room, b"\0")


def plain(pixels: Any, **tags: Any) -> Page:
    """Return a page of uint8 gray or RGB pixels; `tags` as ``t254=1``."""
    pixels = np.ascontiguousarray(pixels, np.uint8)
    samples = 3 if pixels.ndim == 3 else 1
    known = {
        256: pixels.shape[1],
        257: pixels.shape[0],
        258: [8] * samples,
        259: 1,
        262: 2 if samples == 3 else 1,
        277: samples,
        278: pixels.shape[0],
    }
    given = {int(name[1:]): value for name, value in tags.items()}
    return Page({**known, **given}, [pixels.tobytes()])
