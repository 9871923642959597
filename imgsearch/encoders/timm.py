"""Encoders of timm's image models.

https://github.com/huggingface/pytorch-image-models
"""

import contextlib
import difflib
import hashlib
import json
import logging
import os
import pickle
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.encoders import weights as files
from imgsearch.encoders.base import Encoder
from imgsearch.encoders.frameworks import frameworks
from imgsearch.encoders.pixels import with_pixels
from imgsearch.encoders.preprocessing import OPTIONS, Preprocessing
from imgsearch.errors import (
    ConfigError,
    ModelNotFound,
    WeightsInvalid,
    WeightsNotFound,
)
from imgsearch.types import Fingerprint, Matrix, Pixels

_log = logging.getLogger(__name__)

# what would load weights past our checks, or make of the model something other than an encoder
_REFUSED: Final = frozenset({
    "model_name", "checkpoint_path", "cache_dir", "num_classes", "in_chans", "features_only",
    "feature_cfg", "out_indices", "kwargs_filter", "scriptable", "exportable", "no_jit", "dtype",
})  # fmt: skip
# what models raise for arguments that they do not take, as seen with timm 1.0.31
_ARGUMENT_ERRORS: Final = (
    TypeError, ValueError, AssertionError, LookupError, RuntimeError, AttributeError,
    ArithmeticError,
)  # fmt: skip
# whose weights are often given for another model's; compared by every tensor's shape
_WELL_KNOWN: Final = (
    "resnet18", "resnet34", "resnet50", "resnet101", "mobilenetv2_100", "mobilenetv3_large_100",
    "efficientnet_b0", "convnext_tiny", "vit_tiny_patch16_224", "vit_small_patch16_224",
    "vit_base_patch16_224", "vit_base_patch32_224",
)  # fmt: skip


class TimmEncoder(Encoder):
    """A timm model's pooled features, before any classifier; in inference mode.

    `options`: what `Preprocessing` names goes there, over the model's own configuration; `device`
    is "cpu" (default), "cuda", "cuda:N" or "auto", which takes a GPU where there is one;
    `precision` "f32", "bf16" or "auto", which is bf16 on a GPU that has it; all else is an
    argument of the model, as ``pad_type="same"``. A file ``NAME.json`` beside the weights
    ``NAME.safetensors`` holds options that those given here go before. Without `weights` they are
    taken from the hub's cache or downloaded, as timm does it; `offline` forbids the latter.
    `label` is the name in the fingerprint, `defaults` are options that all others go before.

    The fingerprint's `weights` is the file's sha256. Of downloaded weights it is one over the
    model's tensors sorted by name: each name, dtype, shape and bytes.

    Raises:
        MissingExtra: torch, torchvision, timm or safetensors is not installed.
        ModelNotFound: timm has no such model.
        ConfigError: an option is unknown to the model or out of its range, or no pooled features
            come of them, or there is no such device.
        WeightsNotFound: no such file; or none given, none cached, and the hub does not answer.
        WeightsInvalid: the file holds no weights, or another model's.
    """

    def __init__(
        self,
        name: str,
        *,
        weights: str | os.PathLike[str] | None = None,
        options: files.Options | None = None,
        label: str = "",
        defaults: files.Options | None = None,
        offline: bool = False,
    ) -> None:
        path = None if weights is None else files.locate(weights)
        beside = files.sidecar(path) if path else {}
        chosen = {**files.plain_options(defaults), **beside, **files.plain_options(options)}
        device, precision = chosen.pop("device", "cpu"), chosen.pop("precision", "auto")
        pixels = {key: chosen.pop(key) for key in sorted(OPTIONS & set(chosen))}
        _check_arguments(chosen)
        self._torch, timm = frameworks()
        self._turn = threading.Lock()
        _check_name(timm, name)
        self._device = self._pick(device)
        self.precision = self._pick_precision(precision)
        if path:
            model = _from_file(timm, name, path, chosen)
            digest = files.sha256(path)
        else:
            model = _from_hub(timm, name, chosen, offline=offline)
            digest = _digest(model.state_dict())
        self.preprocessing = _preprocessing(timm, model).override(pixels)
        # 1.5 times as fast as the contiguous layout on 2 cores (torch 2.13, batch 32, medians of
        # 3): mobilenetv2_100 13.7 to 9.1, resnet50 7.3 to 4.6 images/s
        self._model = model.eval().float().to(self._device, memory_format=self._torch.channels_last)
        self.enough = self.preprocessing.enough
        self._mean, self._std = (
            self._torch.tensor(values, dtype=self._torch.float32, device=self._device)
            for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        self.fingerprint = Fingerprint(
            model=label or f"timm:{name}",
            dim=self._probe(),
            weights=digest,
            preprocessing=self.preprocessing.canonical(),
            runtime=f"torch {self.precision}",
            options=json.dumps(chosen, sort_keys=True) if chosen else "",
        )
        _log.info("built %s on %s", self.fingerprint.model, self._device)

    @override
    def prepare(self, image: Pixels) -> npt.NDArray[Any]:
        return self.preprocessing.apply(image)

    @override
    def features(self, inputs: Sequence[npt.NDArray[Any]]) -> Matrix:
        matrix = np.empty((len(inputs), self.dim), dtype=np.float32)
        for start in range(0, len(inputs), self.batch_size):
            chunk = slice(start, start + self.batch_size)
            matrix[chunk] = self._forward(np.stack(inputs[chunk])).numpy()
        return matrix

    def graphs(self) -> dict[str, tuple[Any, Any]]:
        """Return what `exports` writes: "image" → a module over uint8 batches, and an example."""
        size = self.preprocessing.input_size
        example = self._torch.zeros((2, size, size, 3), dtype=self._torch.uint8)
        return {"image": (with_pixels(self._model, self._mean, self._std), example)}

    def _forward(self, batch: npt.NDArray[Any]) -> Any:
        """Return the model's output on the CPU for uint8 (n, size, size, 3)."""
        torch, on_gpu = self._torch, self._device.type == "cuda"
        half = torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16")
        # CPU threads of several callers get in each other's way; a GPU queues them itself
        turn = contextlib.nullcontext() if on_gpu else self._turn
        with turn, torch.inference_mode(), half:
            pixels = torch.from_numpy(batch)
            if on_gpu:  # from pinned memory the copy goes on while the GPU computes
                pixels = pixels.pin_memory()
            pixels = pixels.to(self._device, non_blocking=on_gpu).float()
            pixels = pixels.div_(255).sub_(self._mean).div_(self._std)
            # (n, channel, height, width) over this memory is just what channels_last means
            return self._model(pixels.permute(0, 3, 1, 2)).float().cpu()

    def _probe(self) -> int:
        """Return the features' length, as one grey image has it."""
        size = self.preprocessing.input_size
        grey = np.full((1, size, size, 3), 127, dtype=np.uint8)
        try:
            shape = tuple(self._forward(grey).shape)
        except _ARGUMENT_ERRORS as error:
            raise ConfigError(
                f"the model does not take {size} x {size} pixels with these options ({error}); "
                "models of a fixed size take img_size beside input_size"
            ) from error
        if len(shape) != 2:
            raise ConfigError(f"features of shape {shape} are not pooled: give a global_pool")
        return int(shape[1])

    def _pick_precision(self, asked: object) -> str:
        """Return "f32" or "bf16"; "auto" is bf16 on a GPU that has it."""
        if asked not in ("auto", "f32", "bf16"):
            raise ConfigError(f"precision is auto, f32 or bf16, not {asked!r}")
        if asked != "auto":
            return str(asked)
        on_gpu = self._device.type == "cuda"
        return "bf16" if on_gpu and self._torch.cuda.is_bf16_supported() else "f32"

    def _pick(self, device: object) -> Any:
        there = self._torch.cuda.is_available()
        if device == "auto":
            device = "cuda" if there else "cpu"
        if not isinstance(device, str) or device.partition(":")[0] not in ("cpu", "cuda"):
            raise ConfigError(f"device is cpu, cuda or auto, not {device!r}")
        if device.startswith("cuda") and not there:
            raise ConfigError(f"no device {device!r}: this torch sees no GPU")
        try:
            return self._torch.device(device)
        except RuntimeError as error:
            raise ConfigError(f"device is cpu, cuda, cuda:N or auto, not {device!r}") from error


def names(pattern: str = "*") -> list[str]:
    """Return the names of timm's models that fit a shell pattern, tags of weights left out.

    Raises:
        MissingExtra, EncoderError: as for `frameworks`.
    """
    return [str(name) for name in frameworks()[1].list_models(pattern)]


def _check_name(timm: Any, name: str) -> None:
    arch, _, tag = name.partition(".")
    if not timm.is_model(arch):
        near = difflib.get_close_matches(arch, timm.list_models())
    elif tag and name not in (known := timm.list_pretrained(f"{arch}.*")):
        near = known[:5]
    else:
        return
    meant = f"; did you mean {' or '.join(f'timm:{each}' for each in near)}?" if near else ""
    raise ModelNotFound(f"timm has no model {name!r}{meant}")


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    for key in arguments:
        if key in _REFUSED or key.startswith("pretrained"):
            raise ConfigError(f"option {key!r} is not open to choice")


def _preprocessing(timm: Any, model: Any) -> Preprocessing:
    """Return what the model's configuration says of its input."""
    config = timm.data.resolve_model_data_config(model)
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise ConfigError(f"an input of {channels} x {height} x {width} is not square RGB")
    del config["input_size"]
    return Preprocessing(input_size=height, **config)


def _create(timm: Any, name: str, arguments: Mapping[str, Any], **ours: Any) -> Any:
    try:
        return timm.create_model(name, **{"num_classes": 0, **ours}, **arguments)
    except _ARGUMENT_ERRORS as error:
        given = json.dumps(arguments) if arguments else "no options"
        raise ConfigError(f"timm:{name} cannot be built with {given}: {error}") from error


def _from_file(timm: Any, name: str, path: Path, arguments: Mapping[str, Any]) -> Any:
    """Return the model with a file's weights, every tensor of it accounted for."""
    files.check(path)
    state = _read(path)
    model = _create(timm, name, arguments)
    own = model.state_dict()
    if set(state) - set(own):
        for key in _head(timm, name, arguments) - set(own):
            state.pop(key, None)
    faults = files.differences(own, state)
    if faults:
        raise WeightsInvalid(
            f"{path} does not fit timm:{name}: {faults}{_resemblance(timm, name, state)}"
        )
    model.load_state_dict(state, strict=True)
    return model


def _read(path: Path) -> dict[str, Any]:
    """Return the tensors that a file holds by name; nothing in it is run."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix.lower() == ".safetensors":
            return dict(load_file(path, device="cpu"))
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


def _head(timm: Any, name: str, arguments: Mapping[str, Any]) -> set[str]:
    """Return the tensors' names of the same model with its classifier; some heads have norms."""
    return set(_outline(timm, name, arguments, num_classes=1000))


def _outline(timm: Any, name: str, arguments: Mapping[str, Any], **ours: Any) -> dict[str, Any]:
    """Return a model's tensors without their storage, which takes no memory."""
    import torch

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


def _from_hub(timm: Any, name: str, arguments: Mapping[str, Any], *, offline: bool) -> Any:
    """Return the model with timm's own weights, from the hub's cache or downloaded."""
    from huggingface_hub.errors import HfHubHTTPError
    from safetensors import SafetensorError

    # the client's errors are requests' or httpx's, by its version; its own inherits from them
    hub_errors: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
    config = timm.get_pretrained_cfg(name)
    try:
        file = files.cached(config, offline=offline)
        overlay = {"file": file} if file else {}
        return _create(timm, name, arguments, pretrained=True, pretrained_cfg_overlay=overlay)
    except hub_errors as error:
        raise WeightsNotFound(
            f"no weights of timm:{name}: {error}; give its model.safetensors with --weights FILE "
            f"(in Python weights=), from {config and (config.hf_hub_id or config.url)}"
        ) from error
    except (pickle.UnpicklingError, SafetensorError) as error:
        raise WeightsInvalid(f"what the hub holds for {name} is refused: {error}") from error


def _digest(state: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        array = tensor.cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
