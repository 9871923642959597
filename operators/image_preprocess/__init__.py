"""Pixels → encoder input."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch.encoders import DEFAULT, load
from imgsearch.towhee import Operator
from imgsearch.types import Pixels


class ImagePreprocess(Operator):
    """Scale and crop one image to the input size of the encoder `model`."""

    def __init__(
        self,
        model: str = DEFAULT,
        *,
        weights: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._encoder = load(model, weights=weights, options=options)

    def __call__(self, image: Pixels) -> npt.NDArray[np.uint8]:
        """Return the encoder's input for `image`, uint8 (height, width, 3)."""
        return self._encoder.prepare(image)


image_preprocess = ImagePreprocess  # the name that Towhee looks for
