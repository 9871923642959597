"""Encoded image or path → Towhee's image type, with the interface of ``ops.image_decode``."""

from pathlib import Path
from typing import Any

import numpy as np

from imgsearch.errors import ConfigError
from imgsearch.images import decode
from imgsearch.images.sources import read
from imgsearch.towhee import Operator
from imgsearch.towhee.imports import towhee


class TowheeDecode(Operator):
    """Decode one image into Towhee's image type, in BGR by default, like the hub's operator."""

    def __init__(self, mode: str = "BGR") -> None:
        self._mode = str(mode).upper()  # tutorials write it in lower case
        if self._mode not in ("RGB", "BGR"):
            raise ConfigError(f'invalid mode {mode!r}: use "RGB" or "BGR".')

    def __call__(self, image: bytes | str | Path) -> Any:
        """Return a `towhee.types.Image`, uint8 (height, width, 3), upright, with its `mode`."""
        path = "" if isinstance(image, bytes) else str(image)
        pixels = decode(image if isinstance(image, bytes) else read(image), path=path)
        if self._mode == "BGR":
            pixels = np.ascontiguousarray(pixels[..., ::-1])
        return towhee.types.Image(pixels, self._mode)


towhee_decode = TowheeDecode  # the name that Towhee looks for
