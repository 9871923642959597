"""image or text → features, as ``ops.image_text_embedding.clip`` gives."""

from collections.abc import Mapping
from typing import Any

from imgsearch.encoders import load, models
from imgsearch.errors import ConfigError, TextUnsupported
from imgsearch.towhee import BatchOperator
from imgsearch.towhee.patches import check_format, device_word, rgb
from imgsearch.types import Vector


class TowheeClip(BatchOperator):
    """Embed images or texts with a CLIP model, built once a process."""

    def __init__(
        self,
        model_name: str,
        modality: str,
        device: Any = "cpu",
        checkpoint_path: str | None = None,
        *,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if modality not in ("image", "text"):
            raise ConfigError(f"modality is image or text, not {modality!r}")
        chosen = {**(options or {}), "device": device_word(device)}
        self._encoder = load(model_name, weights=checkpoint_path, options=chosen)
        if modality == "text" and not self._encoder.languages:
            raise TextUnsupported(f"{model_name!r} takes images only")
        self._texts = modality == "text"

    def __call__(self, given: list[Any]) -> list[Vector]:
        """Return for each image or text its features, float32 (d,), of any length."""
        if self._texts:
            return list(self._encoder.text_features([str(text) for text in given]))
        return list(self._encoder.features([self._encoder.prepare(rgb(each)) for each in given]))

    @staticmethod
    def supported_model_names(format: str | None = None) -> list[str]:  # noqa: A002 - Towhee's name
        """Return the names that are described; `format` is None, "pytorch" or "onnx".

        Beside these, ``clip:ARCH/TAG`` takes any model of open_clip.
        """
        check_format(format)
        rows = [row for row in models() if row.runtime == "clip" and ":" not in row.name]
        return [name for row in rows for name in (row.name, *row.aliases)]
