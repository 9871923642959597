"""Encoders from timm's image models.

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
from imgsearch.encoders.torch.runner import TorchRunner
from imgsearch.encoders.weights import files, hub
from imgsearch.errors import (
    ConfigError,
    ModelNotFound,
    WeightsNotFound,
)
from imgsearch.types import Fingerprint, Matrix, Pixels

_log = logging.getLogger(__name__)

# arguments that would load unchecked weights, or build something other than an encoder
_REJECTED: Final = frozenset({
    "model_name", "checkpoint_path", "cache_dir", "num_classes", "in_chans", "features_only",
    "feature_cfg", "out_indices", "kwargs_filter", "scriptable", "exportable", "no_jit", "dtype",
})  # fmt: skip


class TimmEncoder(Encoder):
    """The pooled features of a timm model, before its classifier.

    `options` may have the fields of `Preprocessing`, which override the model's configuration;
    `device` (default "cpu"), `precision` and `compile` for `TorchRunner`; and `pooling` and
    `half_block` for `heads.pool`. All other options are arguments of the model, such as
    ``pad_type="same"``. A file ``NAME.json`` beside the weights ``NAME.safetensors`` has further
    options, which `options` override. By default, weights come from the hub's cache, or are
    downloaded unless `offline`. `label` is the name in the fingerprint. All other options override
    `defaults`.

    The fingerprint's `weights` is the file's sha256.

    Raises:
        MissingExtra: torch, torchvision, timm or safetensors is not installed.
        ModelNotFound: timm does not have the model.
        ConfigError: an option is unknown or out of range, the features are not pooled, or the
            device does not exist.
        WeightsNotFound: the file is missing; or no file is given or cached, and no hub responds.
        WeightsInvalid: the file has no weights, or weights of another model.
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
        sidecar = files.sidecar(path) if path else {}
        arguments = {**files.plain_options(defaults), **sidecar, **files.plain_options(options)}
        device, precision = arguments.pop("device", "cpu"), arguments.pop("precision", "auto")
        compiled = arguments.pop("compile", False)
        pixels = {key: arguments.pop(key) for key in sorted(OPTIONS & set(arguments))}
        _check_arguments(arguments)
        self._torch, timm = frameworks()
        check_name(name)
        self._run = TorchRunner(device, precision, compiled=compiled)
        self.precision = self._run.precision
        file = path or _fetch_published(timm, name, offline=offline)
        model, config = timm_model.build(timm, name, file, arguments, published=path is None)
        self.preprocessing = _preprocessing(config).override(pixels)
        self.enough = self.preprocessing.enough
        mean, std = self.preprocessing.mean, self.preprocessing.std
        self._model = self._run.place(
            with_pixels(model, self._torch.tensor(mean), self._torch.tensor(std))
        )
        self.fingerprint = Fingerprint(
            model=label or f"timm:{name}",
            dim=self._find_dim(),
            weights=files.sha256(file),
            preprocessing=self.preprocessing.canonical(),
            runtime=f"torch {self.precision}",
            options=json.dumps(arguments, sort_keys=True) if arguments else "",
        )
        self.offloaded = self._run.offloaded
        self.batch_size = self._run.batch_size(self._model, self._gray_image())
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
        """Return the module to export, "image", with an example input: a batch of uint8 pixels."""
        size = self.preprocessing.input_size
        example = self._torch.zeros((2, size, size, 3), dtype=self._torch.uint8)
        return {"image": (self._model, example)}

    def _gray_image(self) -> npt.NDArray[np.uint8]:
        size = self.preprocessing.input_size
        return np.full((1, size, size, 3), 127, dtype=np.uint8)

    def _find_dim(self) -> int:
        """Return the length of the feature vector, measured with a gray image."""
        size = self.preprocessing.input_size
        try:
            shape = self._run(self._model, self._gray_image()).shape
        except timm_model.ARGUMENT_ERRORS as error:
            raise ConfigError(
                f"the model does not take {size} x {size} pixels with these options: {error}. "
                "Models of a fixed size need img_size beside input_size."
            ) from error
        if len(shape) != 2:
            raise ConfigError(f"features of shape {shape} are not pooled. Give a global_pool.")
        return int(shape[1])


def names(pattern: str = "*") -> list[str]:
    """Return the names of timm's models that match a shell pattern.

    Tags of weights, as in "resnet50.a1_in1k", are included only if the pattern has a dot.

    Raises:
        MissingExtra, EncoderError: see `frameworks`.
    """
    timm = frameworks()[1]
    tagged = timm.list_pretrained(pattern) if "." in pattern else []
    return [str(name) for name in (*timm.list_models(pattern), *tagged)]


def check_name(name: str) -> None:
    """Check that timm has the model and, if the name has a tag, the weights with that tag.

    Raises:
        ModelNotFound: timm does not have the model or weights.
        MissingExtra, EncoderError: see `frameworks`.
    """
    timm = frameworks()[1]
    arch, _, tag = name.partition(".")
    if not timm.is_model(arch):
        near = difflib.get_close_matches(arch, timm.list_models())
    elif tag and name not in (known := timm.list_pretrained(f"{arch}.*")):
        near = known[:5]
    else:
        return
    hint = f"; did you mean {' or '.join(f'timm:{other}' for other in near)}?" if near else ""
    raise ModelNotFound(f"timm has no model {name!r}{hint}")


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    for key in arguments:
        if key in _REJECTED or key.startswith("pretrained"):
            raise ConfigError(f"option {key!r} cannot be set")


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    """Convert timm's input configuration of a model."""
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise ConfigError(f"an input of {channels} x {height} x {width} is not square RGB")
    del config["input_size"]
    return Preprocessing(input_size=height, **config)


def _fetch_published(timm: Any, name: str, *, offline: bool) -> Path:
    """Return timm's own weights of a model, cached or downloaded."""
    config = timm.get_pretrained_cfg(name)
    try:
        return hub.timm_weights(config, offline=offline)
    except WeightsNotFound as error:
        raise WeightsNotFound(
            f"no weights of timm:{name}: {error}. Give model.safetensors with --weights FILE "
            f"(in Python weights=), from {config and (config.hf_hub_id or config.url)}."
        ) from error
