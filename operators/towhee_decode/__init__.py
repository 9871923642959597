"""Encoded image or path → Towhee's image type, with the interface of ``ops.image_decode``."""

from pathlib import Path
from typing import Any, Literal

from imgsearch.errors import ConfigError
from imgsearch.images import decode, opencv
from imgsearch.images.sources import read
from imgsearch.towhee import Operator
from imgsearch.towhee.imports import towhee


class TowheeDecode(Operator):
    """Decode one image into Towhee's image type, in BGR by default, like the hub's operator.

    OpenCV decodes the files that it decodes like Pillow, from the first one on, if it is installed.
    """

    def __init__(self, mode: str = "BGR") -> None:
        upper = str(mode).upper()  # tutorials write it in lower case
        if upper not in ("RGB", "BGR"):
            raise ConfigError(f'invalid mode {mode!r}: use "RGB" or "BGR".')
        self._mode: Literal["RGB", "BGR"] = "RGB" if upper == "RGB" else "BGR"
        opencv.load()

    def __call__(self, image: bytes | str | Path) -> Any:
        """Return a `towhee.types.Image`, uint8 (height, width, 3), upright, with its `mode`."""
        path = "" if isinstance(image, bytes) else str(image)
        data = image if isinstance(image, bytes) else read(image)
        pixels = decode(data, path=path, mode=self._mode)
        return towhee.types.Image(pixels, self._mode)


towhee_decode = TowheeDecode  # the name that Towhee looks for
