"""OpenAI's CLIP models in `towhee.models`, with the same features as in open_clip.

https://github.com/towhee-io/towhee
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from imgsearch.encoders import registry
from imgsearch.encoders.clip import model
from imgsearch.encoders.clip.encoder import ClipEncoder
from imgsearch.encoders.clip.model import ClipModel
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.errors import EncoderError, MissingExtra, ModelNotFound, WeightsInvalid

_TAG: Final = "openai"  # the only weights for its activation, the quick GELU
_SIDES: Final[Mapping[str, frozenset[str]]] = {
    "vision_cfg": frozenset({"image_size", "layers", "width", "patch_size"}),
    "text_cfg": frozenset({"context_length", "vocab_size", "width", "heads", "layers"}),
}
"""The options that Towhee supports for each side; image attention heads are always 64 wide."""


class TowheeClipEncoder(ClipEncoder):
    """The features of a CLIP model, computed by the module of towhee.models 1.1.3.

    `name` is a name in models.toml with OpenAI's weights, such as "clip_vit_base_patch32" or
    "clip_vit_b32". Other arguments are as in `ClipEncoder`, which checks the weights. Sizes come
    from open_clip, because towhee.models gives ViT-L/14 the sizes of ViT-B/16.

    Raises:
        MissingExtra: towhee.models, or a package that `ClipEncoder` needs, is not installed.
        ModelNotFound: models.toml has no such name with OpenAI's weights.
        EncoderError: towhee.models is installed, but cannot be imported.
    """

    @override
    def _build(self, name: str, path: Path | None, *, offline: bool) -> ClipModel:
        built = model.build(open_clip_name(name), path, offline=offline)
        module = _module(built.config)
        module.load_state_dict(built.module.state_dict(), strict=True)
        return replace(built, module=module)


def names(pattern: str = "*") -> list[str]:
    """Return the names and aliases of OpenAI's models that match a shell pattern."""
    rows = [row for row in registry.described().values() if row.model.endswith(f"/{_TAG}")]
    known = (name for row in rows for name in (row.name, *row.aliases))
    return [name for name in known if fnmatchcase(name, pattern)]


def open_clip_name(name: str) -> str:
    """Return open_clip's name of a model.

    Raises:
        ModelNotFound: the name is unknown, or its weights are not OpenAI's.
    """
    row = registry.find(name)
    if row is None or not row.model.endswith(f"/{_TAG}"):
        rows = registry.described().values()
        known = ", ".join(row.name for row in rows if row.model.endswith(f"/{_TAG}"))
        raise ModelNotFound(f"towhee.models has no weights of {name!r}; known: {known}")
    return row.model


def _module(config: Mapping[str, Any]) -> Any:
    """Return Towhee's module for a configuration, without weights.

    Raises:
        WeightsInvalid: Towhee's classes do not support the configuration.
    """
    for side, known in _SIDES.items():
        if other := sorted(set(config[side]) - known):
            raise WeightsInvalid(f"towhee.models supports no {', '.join(other)} in {side}")
    vision, text = config["vision_cfg"], config["text_cfg"]
    layers = vision["layers"]
    base = _clip()

    class Model(base):  # type: ignore[misc,valid-type]  # Towhee ships no types
        def encode_image(self, images: Any, *, normalize: bool) -> Any:  # noqa: ARG002
            return super().encode_image(images)

        def encode_text(self, tokens: Any, *, normalize: bool) -> Any:  # noqa: ARG002
            # without a device Towhee uses a GPU, even for a model on the CPU
            return super().encode_text(tokens, device=tokens.device)

    return Model(
        embed_dim=config["embed_dim"],
        image_resolution=vision["image_size"],
        vision_layers=layers if isinstance(layers, int) else tuple(layers),
        vision_width=vision["width"],
        vision_patch_size=vision.get("patch_size"),
        context_length=text["context_length"],
        vocab_size=text["vocab_size"],
        transformer_width=text["width"],
        transformer_heads=text["heads"],
        transformer_layers=text["layers"],
    )


def _clip() -> Any:
    """Return the class CLIP of towhee.models, which does not normalize."""
    frameworks()  # imports torchvision with its fix
    try:
        # towhee 1.1.3 uses pydantic 1; its CLIP adds a filter that ignores UserWarnings in the
        # whole process
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from towhee.models.clip.clip import CLIP
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"Towhee's models need {error.name}", extra="torch,clip,towhee", name=error.name
        ) from error
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise EncoderError(f"cannot import towhee.models: {error}") from error
    return CLIP
