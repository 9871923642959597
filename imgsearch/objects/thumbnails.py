"""Creates WebP thumbnails without the image's metadata."""

import io
from typing import Final

from imgsearch.images import MAX_PIXELS, picture
from imgsearch.objects.base import checked_edge

MEDIA_TYPE: Final = "image/webp"
"""The media type of thumbnails. WebP is a third smaller than JPEG of the same quality."""


def thumbnail(data: bytes, edge: int, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a WebP thumbnail with EXIF orientation applied and metadata stripped.

    Its longer edge has at most `edge` pixels. Smaller images are not enlarged.

    Raises:
        ConfigError: `edge` is not in 16 to 1,024.
        ImageError: as for `imgsearch.images.decode`.
    """
    image = picture(data, max_pixels=max_pixels, at_least=checked_edge(edge))
    image.info.clear()  # otherwise Pillow would write profiles and EXIF
    image.thumbnail((edge, edge))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)  # no visible loss at tile size
    return buffer.getvalue()
