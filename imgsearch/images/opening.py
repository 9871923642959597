"""Bytes of a known format → a Pillow image whose header is read, without Pillow's own pixel limit.

`PIL.Image.open` holds every image to a limit of the whole process; ours is each call's.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Source:
    """What is decoded: bytes of a format in `FORMATS`.

    `orientation` is the EXIF orientation to apply in place of the bytes' own, None for that.
    """

    kind: str
    data: bytes = field(repr=False)
    orientation: int | None = None


def opened(source: Source) -> ImageFile:
    """Return the image of a source, with its header read.

    Raises: whatever the format's plugin raises; see `failures.DECODER_ERRORS`.
    """
    module, name = _PLUGINS[source.kind]
    plugin: Callable[[Any, str], ImageFile] = getattr(import_module(module), name)
    return plugin(io.BytesIO(source.data), "")
