"""Parts of files in HTTP: the header Range (RFC 9110, section 14)."""

import re
from typing import Final, NamedTuple

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class ByteRange(NamedTuple):
    """The part of a file that a response sends: from `start` to before `stop`, of `size` bytes."""

    start: int
    stop: int
    size: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a response with this part, which has the status 206."""
        return {
            "Content-Range": f"bytes {self.start}-{self.stop - 1}/{self.size}",
            "Content-Length": str(self.stop - self.start),
        }


class RangeUnsatisfiable(Exception):
    """The range holds no byte of the file. The response has the status 416."""


def byte_range(header: str, size: int) -> ByteRange | None:
    """Return the part that a request asks for. Returns None for the whole file.

    Several ranges, other units and invalid headers ask for the whole file.

    >>> byte_range("bytes=2-", 10), byte_range("bytes=-3", 10)
    (ByteRange(start=2, stop=10, size=10), ByteRange(start=7, stop=10, size=10))

    Raises:
        RangeUnsatisfiable: the range lies outside of the file.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, stop = max(0, size - int(match[2])), size
    else:
        start, stop = int(match[1]), min(size, int(match[2] or size) + 1)
        if match[2] and int(match[2]) < start:
            return None
    if not start < stop:
        raise RangeUnsatisfiable
    return ByteRange(start, stop, size)
