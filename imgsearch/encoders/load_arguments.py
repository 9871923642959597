"""Checks the arguments of `imgsearch.encoders.load`, and resolves them to a plan and files."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imgsearch.encoders import registry
from imgsearch.encoders.recipe import Plan
from imgsearch.encoders.weights import cache, hub, trained
from imgsearch.encoders.weights.files import Options, locate, plain_options
from imgsearch.errors import (
    ConfigError,
    EncoderRemoved,
    ModelNotFound,
    WeightsNotFound,
)
from imgsearch.settings import Settings
from imgsearch.text import removal_advice

TIMM: Final = "timm:"
TOWHEE: Final = "towhee:"
_LITE_OPTIONS: Final = frozenset({"runtime", "precision", "batch_size"})


@dataclass(frozen=True)
class Arguments:
    """The plan of an encoder, its options, and the files of its weights and its reduction."""

    plan: Plan
    options: dict[str, Any]
    weights: Path | None
    reduction: Path | None


def parse(model: str, weights: str | os.PathLike[str] | None, options: Options | None) -> Arguments:
    """Check the arguments of `load` and resolve their files.

    Raises: see `imgsearch.encoders.check`.
    """
    if not isinstance(model, str):
        raise ConfigError(f"model must be a name such as 'lite', not {model!r}")
    model, weights = trained.expand(model, weights)
    plain = plain_options(options)
    reduction = plain.pop("reduction", None)
    plan = make_plan(model)
    if plan.family in registry.WITHOUT_WEIGHTS and (weights is not None or plain):
        raise ConfigError(f"the encoder {model} takes neither weights nor options")
    if plan.family == "lite":
        _check_lite(model, weights, plain)
    path = None if weights is None else _locate_weights(plan, weights)
    return Arguments(plan, plain, path, None if reduction is None else locate(str(reduction)))


def make_plan(model: str) -> Plan:
    """Return the plan for building a model.

    Raises:
        ModelNotFound: the name is unknown.
        EncoderRemoved: the model existed in an earlier version.
    """
    row = registry.find(model)
    if row is not None:
        return Plan(row.runtime, row.model, row.name, row.options(), row.languages)
    family, _, name = model.partition(":")
    if advice := removal_advice(model):
        raise EncoderRemoved(advice)
    if family not in ("timm", "clip", "towhee") or not name:
        raise ModelNotFound(_describe_unknown(model))
    return Plan(family, name, model)


def on_disk(model: str) -> Path | None:
    """Return the path of a model's weights on this machine, or None.

    The order of search is: the installed weights package, a download, the hub's cache.

    Raises:
        WeightsInvalid: the sha256 of the package's file or the download is wrong.
    """
    row = registry.find(model)
    if row is not None and (packaged := row.weights_file) and packaged.is_installed():
        return packaged.locate()
    path = cache.find(Settings.from_environment().cache, model)
    if path is None and row is not None and row.hub:
        path = hub.find(row.hub, cache.files(row.runtime))
    return path


def require_weights(plan: Plan) -> Path | None:
    """Return the weights of a plan on this machine. Returns None if they come from a hub.

    Raises:
        WeightsNotFound: the weights are not on this machine, and no hub has them. The framework's
            weights for this architecture are not used, because they belong to another model.
    """
    row = registry.find(plan.label)
    path = on_disk(plan.label.removeprefix(TOWHEE))
    if path is None and row is not None and (packaged := row.weights_file):
        return packaged.locate()  # raises an error with pip's command
    if path is None and row is not None and not row.hub:
        raise WeightsNotFound(
            f"no weights of {row.name} on this machine or a hub. Download {row.source} and give "
            "the file with --weights FILE (in Python weights=)."
        )
    return path


def _check_lite(model: str, weights: object, options: Mapping[str, object]) -> None:
    """Check the arguments of ``lite`` and ``lite2``.

    Raises:
        ConfigError: weights are given, or an option is unknown or invalid.
    """
    if weights is not None:
        raise ConfigError(f"{model} takes no weights: they come from a package")
    if unknown := sorted(set(options) - _LITE_OPTIONS):
        raise ConfigError(
            f"{model} has no option {unknown[0]!r}; its options are "
            f"{', '.join(sorted({*_LITE_OPTIONS, 'reduction'}))}"
        )
    if options.get("runtime") == "torch":
        raise ConfigError(f"{model} runs on onnx or openvino; for torch use tf_efficientnet_lite0")
    from imgsearch.encoders.build import check_running

    check_running(options)


def _locate_weights(plan: Plan, weights: object) -> Path:
    """Return the path of a weights file or folder.

    Raises:
        ConfigError: `weights` is not a path.
    """
    if not isinstance(weights, str | os.PathLike) or not os.fspath(weights):
        raise ConfigError(f"weights must be a file or a folder, not {weights!r}")
    folder = Path(weights).expanduser().resolve()
    return folder if plan.family != "timm" and folder.is_dir() else locate(weights)


def _describe_unknown(model: str) -> str:
    """Return the error text for an unknown model, with similar names, including timm's."""
    from imgsearch.encoders.timm.architectures import architectures

    known = [f"{TIMM}{name}" for name in sorted(architectures())] if model else []
    bare = f"{TIMM}{model.rpartition(':')[2]}"
    near = [bare] if bare in known else []
    near = near or difflib.get_close_matches(model, registry.described())
    near = near or difflib.get_close_matches(bare, known)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return f"no model {model!r}{hint} `imgsearch models` lists the names."
