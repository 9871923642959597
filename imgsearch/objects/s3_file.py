"""An object of an S3 bucket as a file that is read at any position."""

import io
from collections.abc import Callable

from typing_extensions import override


class S3File(io.RawIOBase):
    """An object of `size` bytes. `read_part` returns the bytes from a start, at most a number."""

    def __init__(self, read_part: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size, self._place = read_part, size, 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._place

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    @override
    def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override]  # the type of typeshed is newer
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        data = self._read(self._place, wanted)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
