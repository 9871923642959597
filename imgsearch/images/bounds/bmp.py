"""BMP: the run lengths of its pixels, which Pillow 12.3 reads in Python."""

import struct
from typing import Final

from imgsearch.errors import ImageTooLarge

_RUNS: Final = (1, 2)  # compressions by run length
_OTHER_BYTES: Final = 1 << 16  # besides the pixels: headers and a palette


def check(data: bytes, _max_pixels: int | None) -> None:
    """Reject a BMP with more run-length data than its pixels need."""
    if len(data) < 34 or struct.unpack_from("<I", data, 14)[0] < 40:
        return
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    most = 2 * abs(width * height) + 2 * abs(height) + _OTHER_BYTES
    if compression in _RUNS and len(data) > most:
        raise ImageTooLarge(f"{len(data):,} bytes of run lengths, at most {most:,} are needed")
