"""Texts → vectors, in batches."""

from collections.abc import Mapping
from typing import Any

from imgsearch.encoders import load, models
from imgsearch.errors import EncoderError, TextUnsupported
from imgsearch.towhee import BatchOperator
from imgsearch.towhee.patches import check_format
from imgsearch.types import Vector


class TextEmbedding(BatchOperator):
    """Embed texts with the encoder `model`, which is loaded once per process."""

    def __init__(
        self,
        model: str,
        *,
        weights: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._encoder = load(model, weights=weights, options=options)
        if not self._encoder.languages:
            raise TextUnsupported(
                f"{model!r} takes images only. `imgsearch models` lists encoders that take texts, "
                "such as clip_vit_b32."
            )

    def __call__(self, texts: list[Any]) -> list[Vector]:
        """Return a vector, float32 (d,), for each of `texts`."""
        for text in texts:
            if not (isinstance(text, str) and text.strip()):
                raise EncoderError(f"invalid text {text!r}: give a str that is not blank.")
        return list(self._encoder.encode_texts(texts))

    @staticmethod
    def supported_model_names(format: str | None = None) -> list[str]:  # noqa: A002 - Towhee's name
        """Return the names of the listed models that take texts, as Towhee's operators do.

        `format` is None, "pytorch" or "onnx", and does not change the result.
        """
        check_format(format)
        return [model.name for model in models() if model.languages]


text_embedding = TextEmbedding  # the name that Towhee looks for
