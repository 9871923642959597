"""Encoders: images → unit vectors. `load` builds one by name, once a process.

Importing this loads no framework and no image library; a model's runtime comes with its model.
"""

import difflib
import importlib.util
import json
import os
import threading
from dataclasses import dataclass
from typing import Final

from imgsearch.encoders.base import Encoder, unit
from imgsearch.encoders.recipe import Recipe
from imgsearch.encoders.weights import Options, locate, plain_options, stamp
from imgsearch.errors import ConfigError, ModelNotFound

__all__ = ["Encoder", "Model", "Options", "Recipe", "load", "models", "timm_names", "unit"]

_Key = tuple[str, tuple[str | int, ...], str]
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
    without one timm's hub is asked. `options` and a file's sidecar are those of the runtime. An
    encoder is built anew when its weights file has changed.

    Raises:
        ModelNotFound: no model of that name.
        MissingExtra: the model's runtime is not installed.
        ConfigError: an option is wrong, or the model takes none.
        WeightsNotFound: no such file, or no hub at hand.
        WeightsInvalid: the file holds no weights, or another model's.
    """
    runtime, colon, name = model.partition(":")
    if model != "classic" and (runtime + colon != _TIMM or not name):
        raise ModelNotFound(_unknown(model))
    if model == "classic" and (weights is not None or options):
        raise ConfigError("the classic encoder has neither weights nor options")
    path = None if weights is None else locate(weights)
    plain = plain_options(options)
    key = (model, stamp(path) if path else (), json.dumps(plain))
    with _lock:
        turn = _building.setdefault(key, threading.Lock())
    with turn:
        if key not in _built:
            _built[key] = _build(name, path, plain) if name else _build_classic()
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


def _build(name: str, path: os.PathLike[str] | None, options: Options) -> Encoder:
    from imgsearch.encoders.timm import TimmEncoder

    return TimmEncoder(name, weights=path, options=options)


def _build_classic() -> Encoder:
    from imgsearch.encoders.classic import ClassicEncoder

    return ClassicEncoder()


def _unknown(model: str) -> str:
    """Say that there is no such model; timm's names are asked where it is installed."""
    near = difflib.get_close_matches(model, ["classic"])
    if not near and models()[1].installed:
        near = difflib.get_close_matches(f"{_TIMM}{model.rpartition(':')[2]}", timm_names())
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no model {model!r}; known: classic, {_TIMM}NAME{meant}"


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # it was barred from being imported: its entry in sys.modules is None
        return False
