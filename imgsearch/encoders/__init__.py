"""Encoders: images → unit vectors. `load` builds one by name, once a process.

Importing this loads no framework and no image library; a model's runtime comes with its model.
"""

import difflib
import importlib.util
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imgsearch.encoders.base import Encoder, unit
from imgsearch.encoders.plan import Plan
from imgsearch.encoders.recipe import Recipe
from imgsearch.encoders.weights import Options, locate, plain_options, stamp
from imgsearch.errors import ConfigError, ModelNotFound

__all__ = ["Encoder", "Model", "Options", "Recipe", "load", "models", "timm_names", "unit"]

_Key = tuple[str, tuple[tuple[str | int, ...], ...], str]
_TIMM: Final = "timm:"
_lock = threading.Lock()
_building: Final[dict[_Key, threading.Lock]] = {}
_built: Final[dict[_Key, Encoder]] = {}


@dataclass(frozen=True, slots=True)
class Model:
    """A model, or a family of them where `name` has a word in capitals, that `load` knows.

    `dim` is None where it depends on the model. `needs` is the extra to install, "" for none.
    """

    name: str
    runtime: str
    dim: int | None
    needs: str
    installed: bool
    description: str


def load(
    model: str = "classic",
    *,
    weights: str | os.PathLike[str] | None = None,
    options: Options | None = None,
) -> Encoder:
    """Return the encoder of that name, the same object for the same arguments.

    `model` is ``classic``, or ``timm:NAME`` with any name that timm knows. `weights` is a file;
    without one timm's hub is asked, unless IMGSEARCH_OFFLINE is set. `options`, and a file's
    sidecar, are those of the model and its input, and how it runs: ``runtime`` ("auto", "torch",
    "openvino" or "onnx"), ``precision`` ("auto", "f32" or "bf16"), ``batch_size``, ``device``
    ("cpu", "cuda", "cuda:N" or "auto", for torch). ``reduction`` is a file that `imgsearch reduce`
    wrote, which shortens the vectors. An encoder is built anew when its weights file
    has changed.

    Raises:
        ModelNotFound: no model of that name.
        MissingExtra: the model's runtime is not installed.
        ConfigError: an option is wrong, or the model takes none.
        WeightsNotFound: no such file, or no hub at hand.
        WeightsInvalid: the file holds no weights, or another model's.
    """
    plain = plain_options(options)
    reduction = plain.pop("reduction", None)
    if model == "classic" and (weights is not None or plain):
        raise ConfigError("the classic encoder has neither weights nor options")
    plan = None if model == "classic" else _plan(model)
    path = None if weights is None else locate(weights)
    shorter = None if reduction is None else locate(str(reduction))
    stamps = tuple(stamp(file) if file else () for file in (path, shorter))
    key = (model, stamps, json.dumps(plain))
    with _lock:
        turn = _building.setdefault(key, threading.Lock())
    with turn:
        if key not in _built:
            _built[key] = _shortened(_build(plan, path, plain), shorter)
        return _built[key]


def models() -> list[Model]:
    """Return what `load` can build, installed or not; imports no framework."""
    from imgsearch.encoders.classic import ClassicEncoder
    from imgsearch.encoders.frameworks import PACKAGES

    return [
        Model(
            "classic",
            runtime="classic",
            dim=ClassicEncoder.fingerprint.dim,
            needs="",
            installed=True,
            description="colours, edges and layout without weights: finds the same picture again",
        ),
        Model(
            f"{_TIMM}NAME",
            runtime="timm",
            dim=None,
            needs="torch",
            installed=all(map(_is_installed, PACKAGES)),
            description="pooled features of any timm model, from a weights file or timm's hub",
        ),
    ]


def timm_names(pattern: str = "*") -> list[str]:
    """Return the timm models that fit a shell pattern as ``resnet*``, by the names `load` takes.

    Raises:
        MissingExtra: timm or what it needs is not installed.
    """
    from imgsearch.encoders import timm

    return [f"{_TIMM}{name}" for name in timm.names(pattern.removeprefix(_TIMM))]


def _plan(model: str) -> Plan:
    """Return what to build for a model's name.

    Raises:
        ModelNotFound: no model of that name.
    """
    family, _, name = model.partition(":")
    if family not in ("timm", "clip", "towhee") or not name:
        raise ModelNotFound(_unknown(model))
    return Plan(family, name, model)


def _build(plan: Plan | None, path: Path | None, options: Options) -> Encoder:
    if plan is None:
        from imgsearch.encoders.classic import ClassicEncoder

        return ClassicEncoder()
    from imgsearch.encoders.assembly import build

    return build(plan, path, options)


def _shortened(encoder: Encoder, reduction: Path | None) -> Encoder:
    if reduction is None:
        return encoder
    from imgsearch.encoders.reduced import Reduced
    from imgsearch.encoders.reduction import Reduction

    return Reduced(encoder, Reduction.load(reduction))


def _unknown(model: str) -> str:
    """Say that there is no such model; timm's names are asked where it is installed."""
    near = difflib.get_close_matches(model, ["classic"])
    if not near and model and _is_installed("timm"):
        near = difflib.get_close_matches(f"timm:{model.rpartition(':')[2]}", timm_names())
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no model {model!r}; known: classic, timm:NAME{meant}"


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # it was barred from being imported: its entry in sys.modules is None
        return False
