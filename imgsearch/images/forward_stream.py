"""A stream that is read from its start to its end, and may be compressed by gzip."""

import gzip
import tarfile
import zlib
from typing import Any, BinaryIO, Final, cast

from imgsearch.errors import SourceError
from imgsearch.images.files import printable

HEADER: Final = 2**20
"""Bytes of a header that is read into memory; names are at most some kB."""

_LARGE: Final = 256 * 2**20  # bytes of a stream, below which its compression is not checked
_RATIO: Final = 100  # of bytes to compressed bytes


class ForwardStream:
    """A stream that can only be read onward, as tarfile reads it.

    A stream that is compressed has at most 100 times its bytes, because images hardly compress.
    """

    def __init__(self, file: BinaryIO, title: str, *, compressed: bool) -> None:
        self._counted = _Counted(file)
        unpacked = gzip.GzipFile(fileobj=cast(Any, self._counted)) if compressed else file
        self._file: BinaryIO = cast(BinaryIO, unpacked)
        self._title, self._compressed, self._place = title, compressed, 0
        self._is_damaged = False

    def tell(self) -> int:
        """Return the number of bytes that were passed."""
        return self._place

    def seek(self, place: int) -> int:
        """Pass bytes up to a place.

        Raises:
            tarfile.ReadError: it was passed already.
        """
        if place < self._place:
            raise tarfile.ReadError("the stream cannot go back")
        while self._place < place and self.content(min(place - self._place, HEADER)):
            pass
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes of a header.

        Raises:
            tarfile.ReadError: these are too many for a header.
        """
        if not 0 <= size <= HEADER:
            raise tarfile.ReadError(f"a header of more than {HEADER:,} bytes")
        data = self.content(size)
        if self._is_damaged:
            raise tarfile.ReadError("the compressed data is cut off or damaged")
        return data

    def content(self, size: int) -> bytes:
        """Return at most `size` bytes, fewer at the end and where the stream is damaged.

        Raises:
            SourceError: the stream has far more bytes than it has compressed.
        """
        parts = []
        while size and (part := self._part(min(size, HEADER))):
            parts.append(part)
            size -= len(part)
            self._place += len(part)
            if self._compressed and self._place > max(_LARGE, _RATIO * self._counted.passed):
                message = "refused: it has more than 100 times its compressed bytes"
                raise SourceError(f"{printable(self._title)}: {message}", path=self._title)
        return b"".join(parts)

    def _part(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            if not self._place:  # no gzip at all
                raise
            self._is_damaged = True
            return b""


class _Counted:
    """A file that counts the bytes that were read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.passed = file, 0

    def read(self, size: int = -1) -> bytes:
        """Read as the file does."""
        data = self._file.read(size)
        self.passed += len(data)
        return data
