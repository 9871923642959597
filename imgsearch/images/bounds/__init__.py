"""Limits on data outside the pixels of a file, checked before a decoder opens the file.

A pixel limit does not bound the data around the pixels: comments, chunks, segments, tags, boxes,
precincts. Decoders read some of these in Python, join them in quadratic time, or allocate an object
for each. Each module here parses one file format like its decoder, in linear time. It rejects sizes
and counts that no real image needs. A truncated or malformed file passes, because the decoder
reports it.
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
    """Reject a file whose structure would cost a decoder seconds or gigabytes.

    `max_pixels` also limits the declared size of GIF, PNG, WebP and JPEG 2000 images and of AV1
    frames, because their decoders allocate memory for it early. If None, the size is not limited.

    Raises:
        ImageTooLarge: a size or count exceeds a limit.
        ImageCorrupt: the structure is invalid and would cost too much to read.
    """
    _CHECKS[kind](data, max_pixels)


def head(kind: str, data: bytes) -> bytes:
    """Return a file with the same header and metadata but without pixels, for a decoder to open.

    Only GIF and PNG are shortened: their decoders read beyond the header when they open a file or
    search it for EXIF. Other formats are returned unchanged.
    """
    shorten = _HEADS.get(kind)
    return data if shorten is None else shorten(data)
