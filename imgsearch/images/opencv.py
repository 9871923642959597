"""Decodes 8-bit JPEG and PNG with OpenCV, where `cv2` is installed (extra `opencv`).

Its pixels equal Pillow's for the files that `pixels` takes; Pillow decodes all others. The checks
of `decoder` run before. Decoding starts no thread of OpenCV, so its number of threads is not
changed. Its libjpeg prints a line to stderr for a JPEG whose data are damaged but complete.
"""

import io
import re
import sys
import zlib
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any, Final

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from imgsearch.distribution import is_installed
from imgsearch.images import jpeg
from imgsearch.images.bounds import png
from imgsearch.images.encoded_image import EncodedImage
from imgsearch.types import Pixels

# images that Pillow decodes first: importing cv2 takes 16 to 30 ms, and it saves 0.4 ms an image
_FIRST: Final = 64
_IHDR: Final = 8 + 8  # offset of the content of a PNG's first chunk
_DEPTH, _TYPE = _IHDR + 8, _IHDR + 9
_TYPES: Final = (0, 2, 3)  # color types of PNG: gray, RGB, palette
_NEEDED: Final = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
_END: Final = b"\xff\xd9"
# In the data of a scan, a zero or a restart marker follows each FF. Pillow rejects other markers.
_MARKER: Final = re.compile(rb"\xff[^\0\xd0-\xd7]")
_decoded = count()


def load() -> bool:
    """Import `cv2`, for programs that decode with OpenCV from the first image on.

    Returns whether OpenCV decodes from now on: it is installed, and returns Pillow's pixels.
    """
    if not is_installed("cv2"):
        return False
    import cv2  # noqa: F401  # `pixels` finds it among the loaded modules

    return _agrees()


def pixels(image: ImageFile, encoded: EncodedImage, *, mode: str) -> Pixels | None:
    """Return an image's pixels as stored, or None if Pillow should decode it.

    `image` is the opened image without pixels, and `mode` is "RGB" or "BGR". OpenCV takes baseline
    JPEG, gray or in color, and PNG of 8 bits without transparency or animation. It is imported
    after some images, so that a single search does not wait for the import.
    """
    content = _CONTENT.get(encoded.kind)
    if content is None or not _is_ready():
        return None
    data = content(image, encoded.data)
    decoded = _decode(data, mode) if data else None
    # Pillow finds the error of an image that OpenCV cannot decode
    return decoded if getattr(decoded, "shape", ()) == (image.height, image.width, 3) else None


def _is_ready() -> bool:
    """Return whether OpenCV decodes; load it after the first images."""
    if sys.modules.get("cv2") is not None:
        return _agrees()
    return next(_decoded) >= _FIRST and load()


@cache
def _agrees() -> bool:
    """Return whether OpenCV decodes JPEG to Pillow's pixels. Builds with another libjpeg do not."""
    import cv2

    if not hasattr(cv2, "IMREAD_COLOR_RGB"):  # added in 4.11
        return False
    pattern = Image.fromarray((np.arange(40 * 56 * 3).reshape(40, 56, 3) * 37 % 251).astype("u1"))
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        file = io.BytesIO()
        pattern.save(file, "JPEG", subsampling=subsampling)
        with Image.open(file) as image:
            if not np.array_equal(np.asarray(image), _decode(file.getvalue(), "RGB")):
                return False
    return True


def _decode(data: bytes, mode: str) -> Any:
    """Return the pixels of a file as stored. Returns None if OpenCV cannot decode it."""
    import cv2

    flag = cv2.IMREAD_COLOR_RGB if mode == "RGB" else cv2.IMREAD_COLOR_BGR
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None


def _jpeg(image: ImageFile, data: bytes) -> bytes:
    """Return a JPEG unchanged if it has one scan of Huffman codes; b"" otherwise."""
    scan = jpeg.sole_scan(data) if image.mode in ("RGB", "L") else 0
    if not scan:
        return b""
    marker = _MARKER.search(data, scan)
    return data if marker and marker[0] == _END and marker.end() == len(data) else b""


def _png(_image: ImageFile, data: bytes) -> bytes:
    """Return a PNG without its metadata, of which libpng prints warnings; b"" for Pillow's."""
    if data[_DEPTH] != 8 or data[_TYPE] not in _TYPES:
        return b""
    parts, names = [data[: png.SIGNATURE]], []
    for name, start, end in png.chunks(data):
        if name in png.ANIMATION or name == b"tRNS" or (b"IDAT" in names and name in png.WITH_EXIF):
            return b""
        if name in _NEEDED:
            chunk = data[start - 8 : end + 4]
            if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
                return b""  # libpng would print an error
            names.append(name)
            parts.append(chunk)
    return b"".join(parts) if names[-1:] == [b"IEND"] else b""


_CONTENT: Final[dict[str, Callable[[ImageFile, bytes], bytes]]] = {"JPEG": _jpeg, "PNG": _png}
