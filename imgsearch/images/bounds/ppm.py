"""PPM and related formats: the header, which Pillow 12.3 reads byte by byte in Python."""

import re
from typing import Final

from imgsearch.images.bounds.limits import check_count

_HEADER: Final = 1 << 16  # bytes of a header, comments included
_SPACE: Final = b" \t\n\v\f\r"
_LINE_END: Final = re.compile(rb"[\r\n]")
_TOKENS: Final = {b"P4": 2}  # width and height; the others have a maximum or a scale as well


def check(data: bytes, _max_pixels: int | None) -> None:
    """Reject a PPM whose header is too long."""
    start = data[: _HEADER + 1]
    at = 2
    for _ in range(_TOKENS.get(start[:2], 3)):
        at = _token_end(start, at)
        check_count(at, _HEADER, "bytes in the header")


def _token_end(data: bytes, at: int) -> int:
    """Return the end of the next token; whitespace and comments before it are skipped.

    A comment inside a token does not end it, as in Pillow.
    """
    length = 0
    while at < len(data) and length <= 10:
        letter = data[at]
        at += 1
        if letter == ord("#"):
            end = _LINE_END.search(data, at)
            at = end.end() if end else len(data)
        elif letter not in _SPACE:
            length += 1
        elif length:
            return at
    return at
