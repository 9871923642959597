"""PPM and BMP: what Pillow 12.3 reads byte by byte in Python."""

import re
import struct
from typing import Final

from imgsearch.errors import ImageTooLarge
from imgsearch.images.bounds.limits import check_count

_HEADER: Final = 1 << 16  # bytes of a PPM's header, comments included
_SPACE: Final = b" \t\n\v\f\r"
_LINE_END: Final = re.compile(rb"[\r\n]")
_TOKENS: Final = {b"P4": 2}  # width and height; the others have a maximum or a scale as well
_RUNS: Final = (1, 2)  # BMP's compressions by run length
_OTHER_BYTES: Final = 1 << 16  # of a BMP beside its pixels


def check_ppm(data: bytes, _max_pixels: int | None) -> None:
    """Refuse a PPM whose header is long."""
    start = data[: _HEADER + 1]
    at = 2
    for _ in range(_TOKENS.get(start[:2], 3)):
        at = _token_end(start, at)
        check_count(at, _HEADER, "bytes in the header")


def _token_end(data: bytes, at: int) -> int:
    """Return where a token ends; Pillow passes white space before it, and comments in it too."""
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


def check_bmp(data: bytes, _max_pixels: int | None) -> None:
    """Refuse a BMP with more run lengths than its pixels need: Pillow reads all in Python."""
    if len(data) < 34 or struct.unpack_from("<I", data, 14)[0] < 40:
        return
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    most = 2 * abs(width * height) + 2 * abs(height) + _OTHER_BYTES
    if compression in _RUNS and len(data) > most:
        raise ImageTooLarge(f"{len(data):,} bytes of run lengths, at most {most:,} are needed")
