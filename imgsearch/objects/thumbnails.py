"""Image bytes → a small picture to look at, and nothing else of them."""

import io
from typing import Final

from imgsearch.images import MAX_PIXELS, picture
from imgsearch.objects.base import checked_edge

MEDIA_TYPE: Final = "image/webp"
"""What `thumbnail` returns: a third smaller than JPEG where that looks alike, and every browser
of the last years shows it."""


def thumbnail(data: bytes, edge: int, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a WebP of the image, its longer edge at most `edge` pixels, never enlarged.

    It is upright, and holds neither EXIF nor colour profile, comment or place.

    Raises:
        ConfigError: `edge` is not in 16…1024.
        ImageError: as `imgsearch.images.decode`.
    """
    image = picture(data, max_pixels=max_pixels, at_least=checked_edge(edge))
    image.info.clear()  # Pillow writes profiles and EXIF from here unasked
    image.thumbnail((edge, edge))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)  # 80: no visible loss at the size of a page's tile
    return buffer.getvalue()
