"""The bytes of an image, and the Pillow plugin that reads them.

`PIL.Image.open` applies a process-wide pixel limit, so the plugins are called directly.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from PIL.ImageFile import ImageFile

_PLUGINS: Final = {
    "JPEG": ("PIL.JpegImagePlugin", "jpeg_factory"),  # also reads MPO
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "TIFF": ("imgsearch.images.tiff_image", "TiffImage"),
    "JPEG2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "PPM": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": ("pillow_heif", "HeifImageFile"),  # not registered in the program's Pillow
}


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """The bytes of one image and their format: one of `FORMATS`, or "HEIC".

    `orientation` replaces the EXIF orientation of the bytes, unless it is None.
    """

    kind: str
    data: bytes = field(repr=False)
    orientation: int | None = None

    def open(self) -> ImageFile:
        """Return a Pillow image with its header read and no pixel decoded.

        Raises:
            Exception: the header is invalid; `decoder_errors.DECODER_ERRORS` lists the classes.
        """
        module, name = _PLUGINS[self.kind]
        plugin: Callable[[Any, str], ImageFile] = getattr(import_module(module), name)
        return plugin(io.BytesIO(self.data), "")
