"""Pixels → vectors, in batches."""

from collections.abc import Mapping
from typing import Any

from imgsearch.encoders import DEFAULT, load, unit
from imgsearch.towhee import BatchOperator
from imgsearch.types import Vector


class ImageEmbedding(BatchOperator):
    """Embed images with the encoder `model`, which is loaded once per process."""

    def __init__(
        self,
        model: str = DEFAULT,
        *,
        weights: str | None = None,
        options: Mapping[str, Any] | None = None,
        skip_preprocess: bool = False,
        normalize: bool = True,
    ) -> None:
        self._encoder = load(model, weights=weights, options=options)
        self._prepared, self._normalize = skip_preprocess, normalize

    def __call__(self, images: list[Any]) -> list[Vector]:
        """Return a vector, float32 (d,), for each of `images`."""
        prepare = self._encoder.prepare
        inputs = images if self._prepared else [prepare(image) for image in images]
        features = self._encoder.features(inputs)
        return list(unit(features) if self._normalize else features)


image_embedding = ImageEmbedding  # the name that Towhee looks for
