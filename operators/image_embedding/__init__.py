"""Pixels → vectors, in batches."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from imgsearch.encoders import DEFAULT, Recipe, load, models, unit
from imgsearch.encoders.detector import Detection
from imgsearch.encoders.embedding import Chunk, Embedding
from imgsearch.images import MAX_PIXELS
from imgsearch.towhee import BatchOperator
from imgsearch.towhee.patches import check_format
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
        regions: Mapping[str, Any] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._encoder = load(model, weights=weights, options=options)
        detection = Detection(**regions) if regions else None
        self._step = Embedding(Recipe.of(model, weights, options), detection, max_pixels)
        self._prepared, self._normalize = skip_preprocess, normalize

    def __call__(self, images: list[Any]) -> list[Vector] | list[pa.RecordBatch]:
        """Return a vector, float32 (d,), for each of `images`.

        A `Chunk` of encoded images becomes a record batch, with a row for each image.
        """
        if isinstance(images[0], Chunk):
            return [self._step(chunk.images, one_core=chunk.one_core) for chunk in images]
        prepare = self._encoder.prepare
        inputs = images if self._prepared else [prepare(image) for image in images]
        features = self._encoder.features(inputs)
        return list(unit(features) if self._normalize else features)

    @staticmethod
    def supported_model_names(format: str | None = None) -> list[str]:  # noqa: A002 - Towhee's name
        """Return the names of the listed models, as Towhee's operators do.

        `format` is None, "pytorch" or "onnx", and does not change the result.
        """
        check_format(format)
        return [model.name for model in models()]


image_embedding = ImageEmbedding  # the name that Towhee looks for
