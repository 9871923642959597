"""Bytes of a known format → a Pillow image whose header is read, without Pillow's own pixel limit.

`PIL.Image.open` holds every image to a limit of the whole process; ours is each call's.
"""

import io
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

_PLUGINS: Final = {
    "JPEG": ("PIL.JpegImagePlugin", "jpeg_factory"),  # which knows MPO
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "TIFF": (__name__, "_Tiff"),
    "JPEG2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "PPM": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
}


class _Tiff(TiffImageFile):
    def load_prepare(self) -> None:
        # the base class checks Pillow's limit only where it makes the image itself
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size, None).im
        super().load_prepare()


def opened(kind: str, data: bytes) -> ImageFile:
    """Return the image in `data`, of a format in `FORMATS`, with its header read.

    Raises: whatever the format's plugin raises; see `failures.DECODER_ERRORS`.
    """
    module, name = _PLUGINS[kind]
    plugin: Callable[[Any, str], ImageFile] = getattr(import_module(module), name)
    return plugin(io.BytesIO(data), "")
