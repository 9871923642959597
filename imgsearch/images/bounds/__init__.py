"""Limits on the work that a file's container causes, checked before a decoder opens the file.

A pixel limit does not bound what lies around the pixels: comments, chunks, segments, tags, boxes,
precincts. Decoders read some of it in Python, join it in quadratic time, or allocate an object for
each entry. Each module here walks one container as its decoder does, in linear time, and refuses
what no real image needs. A file that is cut short or malformed passes: the decoder reports it.
"""

from collections.abc import Callable
from typing import Final

from imgsearch.images.bounds import bmp, gif, heif, jpeg, jpeg2000, png, ppm, tiff, webp

_CHECKS: Final[dict[str, Callable[[bytes, int | None], None]]] = {
    "AVIF": heif.check,
    "BMP": bmp.check,
    "GIF": gif.check,
    "HEIC": heif.check,
    "JPEG": jpeg.check,
    "JPEG2000": jpeg2000.check,
    "PNG": png.check,
    "PPM": ppm.check,
    "TIFF": tiff.check,
    "WEBP": webp.check,
}
_HEADS: Final[dict[str, Callable[[bytes], bytes]]] = {"GIF": gif.head, "PNG": png.head}


def check(kind: str, data: bytes, *, max_pixels: int | None = None) -> None:
    """Refuse a file whose container costs a decoder seconds or gigabytes.

    `max_pixels` also limits the size that GIF, PNG and WEBP announce, since their decoders allocate
    a canvas while they open a file; None leaves the size alone.

    Raises:
        ImageTooLarge: the container exceeds a limit.
        ImageCorrupt: the container cannot be a valid one, and costs too much to read.
    """
    _CHECKS[kind](data, max_pixels)


def head(kind: str, data: bytes) -> bytes:
    """Return a file of the same header and metadata without pixels, for a decoder to open.

    Only for GIF and PNG, whose decoders do more than read the header when they open a file or look
    for its EXIF; other formats come back as they are.
    """
    shorten = _HEADS.get(kind)
    return data if shorten is None else shorten(data)
