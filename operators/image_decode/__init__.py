"""Encoded image or path → pixels."""

from pathlib import Path
from typing import Literal

import numpy as np

from imgsearch.errors import ConfigError
from imgsearch.images import MAX_PIXELS, checked, checked_limit, decode
from imgsearch.images.sources import read
from imgsearch.towhee import Operator
from imgsearch.types import Pixels


class ImageDecode(Operator):
    """Decode one image. An image given as pixels is returned unchanged."""

    def __init__(
        self, mode: Literal["RGB", "BGR"] = "RGB", *, max_pixels: int = MAX_PIXELS
    ) -> None:
        if mode not in ("RGB", "BGR"):
            raise ConfigError(f'invalid mode {mode!r}: use "RGB" or "BGR".')
        self._mode, self._max_pixels = mode, checked_limit(max_pixels)

    def __call__(self, image: bytes | str | Path | Pixels, path: str = "") -> Pixels:
        """Return the pixels, uint8 (height, width, 3), upright, with channels in `mode` order.

        `path` names the image in error messages if `image` is bytes.
        """
        if isinstance(image, np.ndarray):
            return checked(image)
        if not isinstance(image, bytes):
            image, path = read(image), str(image)
        return decode(image, path=path, max_pixels=self._max_pixels, mode=self._mode)


image_decode = ImageDecode  # the name that Towhee looks for
