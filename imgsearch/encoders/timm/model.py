"""A timm model and the weights that go into it, every tensor of them accounted for."""

import contextlib
import difflib
import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imgsearch.encoders.timm import heads, state_dicts
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.weights import files
from imgsearch.errors import ConfigError, WeightsInvalid, WeightsNotFound

ARGUMENT_ERRORS: Final = (
    TypeError, ValueError, AssertionError, LookupError, RuntimeError, AttributeError,
    ArithmeticError,
)  # fmt: skip
"""What models raise for arguments that they do not take, as seen with timm 1.0.31."""

# whose weights are often given for another model's; compared by every tensor's shape
_WELL_KNOWN: Final = (
    "resnet18", "resnet34", "resnet50", "resnet101", "mobilenetv2_100", "mobilenetv3_large_100",
    "efficientnet_b0", "convnext_tiny", "vit_tiny_patch16_224", "vit_small_patch16_224",
    "vit_base_patch16_224", "vit_base_patch32_224",
)  # fmt: skip


def build(
    timm: Any, name: str, path: Path, options: Mapping[str, Any], *, published: bool
) -> tuple[Any, dict[str, Any]]:
    """Return the model as a torch module, images → vectors, and timm's configuration of its input.

    `path` is a file of its weights; those of a classifier may be in it, and are left out.
    `options` are the model's arguments, and ``pooling`` and ``half_block``, for `heads`.
    `published`: the file is timm's own for that model, so that timm may fit it to the arguments.

    Raises:
        ConfigError: the model does not take the arguments, the pooling or the cut.
        WeightsNotFound, WeightsInvalid, MissingExtra: as `read`; or it is another model's file.
    """
    arguments = dict(options)
    pooling, half = arguments.pop("pooling", ""), arguments.pop("half_block", False)
    files.check(path)
    files.check_named(path)
    state = read(path)
    model = _create(timm, name, arguments)
    config = dict(timm.data.resolve_model_data_config(model))
    whole = heads.pooled(model, pooling, half_block=half) if pooling or half else model
    own = model.state_dict()
    state = state_dicts.renamed(state, own)
    if "p" in state and "p" in whole.state_dict():
        whole.p.copy_(state.pop("p").reshape(-1)[0])
    for key in _head(timm, name, arguments) - set(own) if set(state) - set(own) else ():
        state.pop(key, None)
    if faults := files.differences(own, state):
        state = _converted(timm, name, model, path, arguments, published=published)
        if not state:
            near = _resemblance(timm, name, read(path))
            raise WeightsInvalid(f"{path} does not fit timm:{name}: {faults}{near}")
    model.load_state_dict(state, strict=True)
    return whole, config


def read(path: Path) -> dict[str, Any]:
    """Return the tensors that a file holds by name; nothing in it is run.

    Raises:
        WeightsNotFound: the file cannot be read.
        WeightsInvalid: it holds something else.
        MissingExtra: it is a file of Keras, and h5py is not installed.
    """
    torch = frameworks()[0]
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix.lower() == ".safetensors":
            return dict(load_file(path, device="cpu"))
        if path.suffix.lower() == ".h5":
            return state_dicts.keras(path)
        state = files.unwrap(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        raise WeightsInvalid(
            f"{path} is refused: it holds more than tensors, or is no PyTorch file; "
            "save its state dict as .safetensors"
        ) from error
    except (SafetensorError, RuntimeError, ValueError, LookupError, EOFError) as error:
        raise WeightsInvalid(f"{path} cannot be read as weights: {error}") from error
    except OSError as error:
        raise WeightsNotFound(f"cannot read {path}: {error}") from error
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsInvalid(f"{path} holds no state dict: a mapping of names to tensors")
    return state


def _converted(
    timm: Any, name: str, model: Any, path: Path, arguments: Mapping[str, Any], *, published: bool
) -> dict[str, Any]:
    """Return the tensors as timm converts them for that model, {} if they still do not fit.

    Some models are published under names that only timm's code knows, as DINOv2.
    """
    own, state = model.state_dict(), read(path)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert and set(state) ^ set(own):
        with contextlib.suppress(*ARGUMENT_ERRORS):
            state = dict(convert(state, model))
            state = {key: value for key, value in state.items() if key in own}
            if not files.differences(own, state):
                return state
    if not published:
        return {}
    overlay = {"file": str(path)}
    fitted = _create(timm, name, arguments, pretrained=True, pretrained_cfg_overlay=overlay)
    return {key: value for key, value in fitted.state_dict().items() if key in own}


def _create(timm: Any, name: str, arguments: Mapping[str, Any], **ours: Any) -> Any:
    try:
        return timm.create_model(name, **{"num_classes": 0, **ours}, **arguments)
    except ARGUMENT_ERRORS as error:
        given = json.dumps(arguments) if arguments else "no options"
        raise ConfigError(f"timm:{name} cannot be built with {given}: {error}") from error


def _head(timm: Any, name: str, arguments: Mapping[str, Any]) -> set[str]:
    """Return the tensors' names of the same model with its classifier; some heads have norms."""
    return set(_outline(timm, name, arguments, num_classes=1000))


def _outline(timm: Any, name: str, arguments: Mapping[str, Any], **ours: Any) -> dict[str, Any]:
    """Return a model's tensors without their storage, which takes no memory."""
    torch = frameworks()[0]

    with torch.device("meta"):
        return dict(_create(timm, name, arguments, **ours).state_dict())


def _resemblance(timm: Any, name: str, state: Mapping[str, Any]) -> str:
    """Return whose weights these are, told by all names and shapes, or ""."""
    near = difflib.get_close_matches(name, timm.list_models(), n=6)
    for other in dict.fromkeys([name.partition(".")[0], *near, *_WELL_KNOWN]):
        with contextlib.suppress(ConfigError):  # some model that does not build as it is
            own = _outline(timm, other, {})
            if files.differences(own, {key: state[key] for key in own if key in state}):
                continue
            if not set(state) - set(own) - _head(timm, other, {}):
                return f"; it looks like timm:{other}"
    return ""
