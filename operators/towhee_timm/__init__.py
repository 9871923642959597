"""Image → pooled features, with the interface of ``ops.image_embedding.timm``."""

from collections.abc import Mapping
from typing import Any

from imgsearch.encoders import DEFAULT, load, models, timm_names
from imgsearch.towhee import BatchOperator
from imgsearch.towhee.patches import check_format, device_name, refuse_training, to_rgb
from imgsearch.types import Vector


class TowheeTimm(BatchOperator):
    """Embed images with a timm model, which is loaded once per process."""

    def __init__(
        self,
        model_name: str = DEFAULT,
        num_classes: int = 1000,  # noqa: ARG002 - pooled features precede the classifier
        skip_preprocess: bool = False,  # noqa: FBT001, FBT002 - the hub's signature
        device: Any = None,
        checkpoint_path: str | None = None,
        *,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if model_name in _own_names():
            self._encoder = load(model_name)
        else:
            name = model_name if model_name.startswith("timm:") else f"timm:{model_name}"
            on_device = {**(options or {}), "device": device_name(device)}
            self._encoder = load(name, weights=checkpoint_path, options=on_device)
        self._prepared = skip_preprocess

    def __call__(self, images: list[Any]) -> list[Vector]:
        """Return the features of each image, float32 (d,), not normalized."""
        if self._prepared:
            return list(self._encoder.features(images))
        return list(
            self._encoder.features([self._encoder.prepare(to_rgb(image)) for image in images])
        )

    def train(self, *_: Any, **__: Any) -> None:
        """Raise an error that names the command for training.

        Raises:
            ConfigError: always.
        """
        refuse_training()

    @staticmethod
    def supported_model_names(format: str | None = None) -> list[str]:  # noqa: A002 - Towhee's name
        """Return the accepted values of `model_name`.

        `format` is None, "pytorch" or "onnx", and does not change the result.
        """
        check_format(format)
        return [*_own_names(), *(name.removeprefix("timm:") for name in timm_names())]


def _own_names() -> list[str]:
    """Return the names of the encoders that need no extra. None of them is a timm model."""
    return [model.name for model in models() if not model.needs]


towhee_timm = TowheeTimm  # the name that Towhee looks for
