"""Encoders of timm's image models.

https://github.com/huggingface/pytorch-image-models
"""

import difflib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.encoders.base import Encoder
from imgsearch.encoders.export.input import with_pixels
from imgsearch.encoders.preprocessing import OPTIONS, Preprocessing
from imgsearch.encoders.timm import model as timm_model
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.torch.runner import TorchRun
from imgsearch.encoders.weights import files, hub
from imgsearch.errors import (
    ConfigError,
    ModelNotFound,
    WeightsNotFound,
)
from imgsearch.types import Fingerprint, Matrix, Pixels

_log = logging.getLogger(__name__)

# what would load weights past our checks, or make of the model something other than an encoder
_REFUSED: Final = frozenset({
    "model_name", "checkpoint_path", "cache_dir", "num_classes", "in_chans", "features_only",
    "feature_cfg", "out_indices", "kwargs_filter", "scriptable", "exportable", "no_jit", "dtype",
})  # fmt: skip


class TimmEncoder(Encoder):
    """A timm model's pooled features, before any classifier; in inference mode.

    `options`: what `Preprocessing` names goes there, over the model's own configuration; `device`
    (by default "cpu"), `precision` and `compile` are for `TorchRun`; `pooling` takes
    feature maps instead of the model's own features, as `heads.pooled` says, `half_block` cuts the
    last block short, as `heads.trim` does; all else is an argument of the model, as
    ``pad_type="same"``. A file ``NAME.json`` beside the weights
    ``NAME.safetensors`` holds options that those given here go before. Without `weights` they are
    taken from the hub's cache or downloaded, as timm does it; `offline` forbids the latter.
    `label` is the name in the fingerprint, `defaults` are options that all others go before.

    The fingerprint's `weights` is the file's sha256.

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
        compiled = chosen.pop("compile", False)
        pixels = {key: chosen.pop(key) for key in sorted(OPTIONS & set(chosen))}
        _check_arguments(chosen)
        self._torch, timm = frameworks()
        check_name(name)
        self._run = TorchRun(device, precision, compiled=compiled)
        self.precision = self._run.precision
        file = path or _published(timm, name, offline=offline)
        model, config = timm_model.build(timm, name, file, chosen, published=path is None)
        self.preprocessing = _preprocessing(config).override(pixels)
        self.enough = self.preprocessing.enough
        scales = (
            self._torch.tensor(each) for each in (self.preprocessing.mean, self.preprocessing.std)
        )
        self._model = self._run.place(with_pixels(model, *scales))
        self.fingerprint = Fingerprint(
            model=label or f"timm:{name}",
            dim=self._probe(),
            weights=files.sha256(file),
            preprocessing=self.preprocessing.canonical(),
            runtime=f"torch {self.precision}",
            options=json.dumps(chosen, sort_keys=True) if chosen else "",
        )
        self.offloaded = self._run.offloaded
        self.batch_size = self._run.batch_size(self._model, self._grey())
        _log.info("built %s on %s", self.fingerprint.model, self._run.device)

    @override
    def prepare(self, image: Pixels) -> npt.NDArray[Any]:
        return self.preprocessing.apply(image)

    @override
    def features(self, inputs: Sequence[npt.NDArray[Any]]) -> Matrix:
        matrix = np.empty((len(inputs), self.dim), dtype=np.float32)
        for start in range(0, len(inputs), self.batch_size):
            chunk = slice(start, start + self.batch_size)
            matrix[chunk] = self._run(self._model, np.stack(inputs[chunk]))
        return matrix

    def graphs(self) -> dict[str, tuple[Any, Any]]:
        """Return what `exports` writes: "image" → a module over uint8 batches, and an example."""
        size = self.preprocessing.input_size
        example = self._torch.zeros((2, size, size, 3), dtype=self._torch.uint8)
        return {"image": (self._model, example)}

    def _grey(self) -> npt.NDArray[np.uint8]:
        size = self.preprocessing.input_size
        return np.full((1, size, size, 3), 127, dtype=np.uint8)

    def _probe(self) -> int:
        """Return the features' length, as one grey image has it."""
        size = self.preprocessing.input_size
        try:
            shape = self._run(self._model, self._grey()).shape
        except timm_model.ARGUMENT_ERRORS as error:
            raise ConfigError(
                f"the model does not take {size} x {size} pixels with these options ({error}); "
                "models of a fixed size take img_size beside input_size"
            ) from error
        if len(shape) != 2:
            raise ConfigError(f"features of shape {shape} are not pooled: give a global_pool")
        return int(shape[1])


def names(pattern: str = "*") -> list[str]:
    """Return the names of timm's models that fit a shell pattern.

    Tags of weights, as in "resnet50.a1_in1k", are left out unless the pattern has a dot.

    Raises:
        MissingExtra, EncoderError: as for `frameworks`.
    """
    timm = frameworks()[1]
    tagged = timm.list_pretrained(pattern) if "." in pattern else []
    return [str(name) for name in (*timm.list_models(pattern), *tagged)]


def check_name(name: str) -> None:
    """Check that timm has a model, and weights of it if the name has a tag.

    Raises:
        ModelNotFound: it has not.
        MissingExtra, EncoderError: as for `frameworks`.
    """
    timm = frameworks()[1]
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


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    """Return what timm's configuration of a model says of its input."""
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise ConfigError(f"an input of {channels} x {height} x {width} is not square RGB")
    del config["input_size"]
    return Preprocessing(input_size=height, **config)


def _published(timm: Any, name: str, *, offline: bool) -> Path:
    """Return timm's own weights of a model, cached or downloaded."""
    config = timm.get_pretrained_cfg(name)
    try:
        return hub.timm_weights(config, offline=offline)
    except WeightsNotFound as error:
        raise WeightsNotFound(
            f"no weights of timm:{name}: {error}; give its model.safetensors with --weights FILE "
            f"(in Python weights=), from {config and (config.hf_hub_id or config.url)}"
        ) from error
