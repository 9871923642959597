"""image or text → vector: the place of ``ops.image_text_embedding.clip``."""

from typing import Any

from imgsearch.errors import ModelNotFound
from imgsearch.seam import Operator


class TowheeClip(Operator):
    """Say that there is no CLIP yet, instead of looking for one on a hub that is gone."""

    def __init__(
        self,
        model_name: str,
        modality: str,
        device: Any = "cpu",
        checkpoint_path: str | None = None,
    ) -> None:
        del device, checkpoint_path
        raise ModelNotFound(
            f"{model_name!r} ({modality}): this version of imgsearch has no CLIP yet, and nothing "
            "was downloaded; ops.image_embedding.timm embeds images"
        )

    def __call__(self, value: Any) -> Any:
        """Never called, since none is ever built."""
        return value
