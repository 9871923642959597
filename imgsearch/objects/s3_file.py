"""Reads objects of an S3 bucket: their bytes in pieces, or as a file at any position."""

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from botocore.exceptions import BotoCoreError, IncompleteReadError
from typing_extensions import override

from imgsearch.objects.base import PIECE


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


def read_pieces(
    get: Callable[..., dict[str, Any]], start: int, stop: int | None, *, attempts: int
) -> Iterator[bytes]:
    """Yield an object's bytes from `start` to before `stop`, or to its end.

    botocore repeats requests, but not the reading of their responses. A response that breaks is
    continued where it broke, with `attempts` requests in all. `get` sends a request.
    """
    first, end = start, "" if stop is None else stop - 1
    broken: BotoCoreError | None = None
    for attempt in range(1, attempts + 1):
        part = {"Range": f"bytes={start}-{end}"} if start or stop else {}
        response = get(**part)
        with closing(response["Body"]) as body:
            if start > first and "ContentRange" not in response:  # the service ignores ranges
                raise broken or incomplete()
            try:
                _check_headers(response)
                for piece in body.iter_chunks(PIECE):
                    yield piece
                    start += len(piece)
            except BotoCoreError as error:
                if attempt == attempts:
                    raise
                broken = error
            else:
                return


def incomplete() -> BotoCoreError:
    """Return the error for a response whose headers are incomplete."""
    return IncompleteReadError(actual_bytes=0, expected_bytes="all")


def _check_headers(response: dict[str, Any]) -> None:
    """Check that a response has its length, without which a broken connection looks like its end.

    urllib3 2 only logs a warning if a connection breaks within the headers.
    """
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    if not {"content-length", "transfer-encoding"} & headers.keys():
        raise incomplete()
