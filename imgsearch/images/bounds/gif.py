"""GIF: the extensions before the first image.

Pillow 12.3 reads them in Python, block by block. It joins the blocks of comments one by one, in
quadratic time. Source of the layout: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

from typing import Final

from imgsearch.images.bounds.limits import check_count, check_size

_SCREEN: Final = 13  # bytes of the signature and the logical screen
_DESCRIPTOR: Final = 10  # bytes of an image's descriptor
_STEPS: Final = 1 << 18  # blocks and stray bytes: 16 MB of XMP, 0.1 s
_JOINED: Final = 1 << 30  # bytes that joining the comments copies: 1.4 MB of comments, 0.2 s
_IMAGE, _EXTENSION, _END = b",!;"
_COMMENT, _APPLICATION = 0xFE, 0xFF


class _Reader:
    """Reads blocks in the same way as Pillow, and counts them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, _palette_end(data, 10, _SCREEN)
        self.steps = self.comment = self.joined = 0

    def first_image(self) -> int:
        """Return the offset of the first image's descriptor, or the end of the data."""
        data, size = self.data, len(self.data)
        while self.at < size and data[self.at] not in (_IMAGE, _END):
            self.steps += 1
            check_count(self.steps, _STEPS, "blocks before the first image")
            self.at += 1
            if data[self.at - 1] == _EXTENSION:
                self._extension()
        return self.at if self.at < size and data[self.at] == _IMAGE else size

    def _extension(self) -> None:
        label = self.data[self.at] if self.at < len(self.data) else 0
        self.at += 1
        length = self._block()
        if label == _COMMENT:
            self._joins(length)
            return
        if label == _APPLICATION and self.data[self.at - length : self.at][:11] == b"NETSCAPE2.0":
            self._block()
        while self._block():
            pass

    def _joins(self, length: int) -> None:
        while length:
            self.comment += length
            self.joined += self.comment
            check_count(self.joined, _JOINED, "bytes to copy for the comments")
            length = self._block()
        self.joined += self.comment

    def _block(self) -> int:
        """Skip a block and return its length, 0 at the end of a chain or of the data."""
        self.steps += 1
        check_count(self.steps, _STEPS, "blocks before the first image")
        length = self.data[self.at] if self.at < len(self.data) else 0
        self.at += 1 + length
        return length


def check(data: bytes, max_pixels: int | None) -> None:
    """Reject a GIF with too much data before its first image, or a too large screen or frame."""
    at = _Reader(data).first_image()
    width, height = _word(data, 6), _word(data, 8)
    if at + _DESCRIPTOR <= len(data):
        width = max(width, _word(data, at + 1) + _word(data, at + 5))
        height = max(height, _word(data, at + 3) + _word(data, at + 7))
    check_size(width, height, max_pixels)


def head(data: bytes) -> bytes:
    """Return the screen and the first image's descriptor, with palettes, without extensions."""
    at = _Reader(data).first_image()
    end = _palette_end(data, at + 9, at + _DESCRIPTOR) + 1  # plus the byte for the code size
    return data[: _palette_end(data, 10, _SCREEN)] + data[at:end]


def _palette_end(data: bytes, flags: int, start: int) -> int:
    """Return the end of a palette at `start`, or `start` if the byte at `flags` declares none."""
    bits = data[flags] if flags < len(data) else 0
    return start + (3 << (bits & 7) + 1) if bits & 0x80 else start


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")
