"""Builds timm models, and checks that every tensor of the weights fits."""

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
from imgsearch.encoders.torch.initialization import without_random_weights
from imgsearch.encoders.weights import files
from imgsearch.errors import ConfigError, WeightsInvalid, WeightsNotFound

ARGUMENT_ERRORS: Final = (
    TypeError, ValueError, AssertionError, LookupError, RuntimeError, AttributeError,
    ArithmeticError,
)  # fmt: skip
"""The errors that models of timm 1.0.31 raise for invalid arguments."""

# models whose weights are often confused with others; compared by all names and shapes
_WELL_KNOWN: Final = (
    "resnet18", "resnet34", "resnet50", "resnet101", "mobilenetv2_100", "mobilenetv3_large_100",
    "efficientnet_b0", "convnext_tiny", "vit_tiny_patch16_224", "vit_small_patch16_224",
    "vit_base_patch16_224", "vit_base_patch32_224",
)  # fmt: skip


def build(
    timm: Any, name: str, path: Path, options: Mapping[str, Any], *, published: bool
) -> tuple[Any, dict[str, Any]]:
    """Return a torch module that maps images to vectors, and timm's configuration of its input.

    `path` is a file of weights; a classifier in it is ignored. `options` are the model's arguments,
    and ``pooling`` and ``half_block`` for `heads.pool`. A `published` file comes from timm, which
    may adapt it to the arguments.

    Raises:
        ConfigError: the model does not support the arguments, the pooling or `half_block`.
        WeightsNotFound, WeightsInvalid, MissingExtra: see `read`; or the file has the weights of
            another model.
    """
    arguments = dict(options)
    pooling, half = arguments.pop("pooling", ""), arguments.pop("half_block", False)
    files.check(path)
    files.check_named(path)
    state = read(path)
    with without_random_weights():
        model = _create(timm, name, arguments)
    config = dict(timm.data.resolve_model_data_config(model))
    module = heads.pool(model, pooling, half_block=half) if pooling or half else model
    own = model.state_dict()
    state = state_dicts.rename(state, own)
    if "p" in state and "p" in module.state_dict():
        module.p.copy_(state.pop("p").reshape(-1)[0])
    for key in _head_names(timm, name, arguments) - set(own) if set(state) - set(own) else ():
        state.pop(key, None)
    if faults := files.differences(own, state):
        state = _convert(timm, name, model, path, arguments, published=published)
        if not state:
            near = _resemblance(timm, name, read(path))
            raise WeightsInvalid(f"{path} does not fit timm:{name}: {faults}{near}")
    model.load_state_dict(state, strict=True)
    return module, config


def read(path: Path) -> dict[str, Any]:
    """Return the tensors of a file by name, without running its code.

    Raises:
        WeightsNotFound: the file cannot be read.
        WeightsInvalid: the file does not have weights.
        MissingExtra: the file is from Keras, and h5py is not installed.
    """
    torch = frameworks()[0]
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix.lower() == ".safetensors":
            return dict(load_file(path, device="cpu"))
        if path.suffix.lower() == ".h5":
            return state_dicts.read_keras(path)
        state = files.unwrap(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        raise WeightsInvalid(
            f"cannot read {path}: it holds more than tensors, or is not a PyTorch file. Save its "
            "state dict as .safetensors."
        ) from error
    except (SafetensorError, RuntimeError, ValueError, LookupError, EOFError) as error:
        raise WeightsInvalid(f"{path} cannot be read as weights: {error}") from error
    except OSError as error:
        raise WeightsNotFound(f"cannot read {path}: {error}") from error
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsInvalid(f"{path} holds no state dict, which maps names to tensors")
    return state


def _convert(
    timm: Any, name: str, model: Any, path: Path, arguments: Mapping[str, Any], *, published: bool
) -> dict[str, Any]:
    """Convert the tensors with timm's code for the model. Returns {} if they do not fit.

    Some published models, such as DINOv2, have tensor names that only timm's code knows.
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


def _create(timm: Any, name: str, arguments: Mapping[str, Any], **overrides: Any) -> Any:
    try:
        return timm.create_model(name, **{"num_classes": 0, **overrides}, **arguments)
    except ARGUMENT_ERRORS as error:
        options = json.dumps(arguments) if arguments else "no options"
        raise ConfigError(f"timm:{name} cannot be built with {options}: {error}") from error


def _head_names(timm: Any, name: str, arguments: Mapping[str, Any]) -> set[str]:
    """Return the tensor names of the model with a classifier, which may add norm layers."""
    return set(_outline(timm, name, arguments, num_classes=1000))


def _outline(
    timm: Any, name: str, arguments: Mapping[str, Any], **overrides: Any
) -> dict[str, Any]:
    """Return a model's tensors on the meta device, where they take no memory."""
    torch = frameworks()[0]

    with torch.device("meta"):
        return dict(_create(timm, name, arguments, **overrides).state_dict())


def _resemblance(timm: Any, name: str, state: Mapping[str, Any]) -> str:
    """Return a hint with the model that has these tensor names and shapes, "" if none has."""
    near = difflib.get_close_matches(name, timm.list_models(), n=6)
    for other in dict.fromkeys([name.partition(".")[0], *near, *_WELL_KNOWN]):
        with contextlib.suppress(ConfigError):  # a model that needs arguments
            own = _outline(timm, other, {})
            if files.differences(own, {key: state[key] for key in own if key in state}):
                continue
            if not set(state) - set(own) - _head_names(timm, other, {}):
                return f"; it looks like timm:{other}"
    return ""
