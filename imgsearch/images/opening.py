"""Bytes of a known format → a Pillow image whose header is read, without Pillow's own pixel limit.

`PIL.Image.open` holds every image to a limit of the whole process; ours is each call's.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from PIL.ImageFile import ImageFile

_PLUGINS: Final = {
    "JPEG": ("PIL.JpegImagePlugin", "jpeg_factory"),  # which knows MPO
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "TIFF": ("imgsearch.images.tiff_image", "TiffImage"),
    "JPEG2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "PPM": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": ("pillow_heif", "HeifImageFile"),  # not registered: others' Pillow stays as it is
}


@dataclass(frozen=True, slots=True)
class Source:
    """What is decoded: bytes of a format in `FORMATS`, or HEIC.

    `orientation` is the EXIF orientation to apply in place of the bytes' own, None for that.
    """

    kind: str
    data: bytes = field(repr=False)
    orientation: int | None = None


def opened(source: Source) -> ImageFile:
    """Return the image of a source, with its header read.

    Raises: whatever the format's plugin raises; see `decoder_errors.DECODER_ERRORS`.
    """
    module, name = _PLUGINS[source.kind]
    plugin: Callable[[Any, str], ImageFile] = getattr(import_module(module), name)
    return plugin(io.BytesIO(source.data), "")
