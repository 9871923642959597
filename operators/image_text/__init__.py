"""Encoded image or pixels → the text in the image."""

from pathlib import Path

import numpy as np

from imgsearch.encoders.text_reader import TextReader
from imgsearch.images import MAX_PIXELS, checked, checked_limit, decode
from imgsearch.images.sources import read
from imgsearch.towhee import Operator
from imgsearch.types import Pixels


class ImageText(Operator):
    """Read the text in an image, in Chinese, English and other Latin scripts."""

    def __init__(self, *, min_score: float = 0.5, max_pixels: int = MAX_PIXELS) -> None:
        self._reader = TextReader(min_score)
        self._max_pixels = checked_limit(max_pixels)

    def __call__(self, image: bytes | str | Path | Pixels, path: str = "") -> str:
        """Return the lines of text from top to bottom, "" if there are none.

        `path` names the image in error messages if `image` is bytes.
        """
        if isinstance(image, np.ndarray):
            return self._reader.read(checked(image))
        if not isinstance(image, bytes):
            image, path = read(image), str(image)
        return self._reader.read(decode(image, path=path, max_pixels=self._max_pixels))


image_text = ImageText  # the name that Towhee looks for
