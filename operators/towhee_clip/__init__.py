"""Image or text → features, with the interface of ``ops.image_text_embedding.clip``."""

from collections.abc import Mapping
from typing import Any

from imgsearch.encoders import load, models
from imgsearch.errors import ConfigError, TextUnsupported
from imgsearch.towhee import BatchOperator
from imgsearch.towhee.patches import check_format, device_name, refuse_training, to_rgb
from imgsearch.types import Vector


class TowheeClip(BatchOperator):
    """Embed images or texts with a CLIP model, which is loaded once per process."""

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
            raise ConfigError(f'invalid modality {modality!r}: use "image" or "text".')
        row = next((row for row in models() if row.name == model_name), None)
        if row is not None and not row.needs:  # an encoder without torch, such as "lite"
            self._encoder = load(model_name, options=options)
        else:
            on_device = {**(options or {}), "device": device_name(device)}
            self._encoder = load(model_name, weights=checkpoint_path, options=on_device)
        if modality == "text" and not self._encoder.languages:
            raise TextUnsupported(
                f"{model_name!r} takes images only. Use a model that takes texts."
            )
        self._texts = modality == "text"

    def __call__(self, inputs: list[Any]) -> list[Vector]:
        """Return the features of each image or text, float32 (d,), not normalized."""
        if self._texts:
            return list(self._encoder.text_features([str(text) for text in inputs]))
        prepared = [self._encoder.prepare(to_rgb(image)) for image in inputs]
        return list(self._encoder.features(prepared))

    def train(self, *_: Any, **__: Any) -> None:
        """Raise an error that names the command for training.

        Raises:
            ConfigError: always.
        """
        refuse_training()

    @staticmethod
    def supported_model_names(format: str | None = None) -> list[str]:  # noqa: A002 - Towhee's name
        """Return the names of the CLIP models that imgsearch lists.

        `format` is None, "pytorch" or "onnx", and does not change the result.

        ``clip:ARCH/TAG`` accepts any other model of open_clip.
        """
        check_format(format)
        rows = [row for row in models() if row.runtime == "clip" and ":" not in row.name]
        return [name for row in rows for name in (row.name, *row.aliases)]


towhee_clip = TowheeClip  # the name that Towhee looks for
