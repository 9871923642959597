"""A user's own steps, named as MODULE:ATTRIBUTE."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch.errors import ConfigError

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline


def load_steps(names: Sequence[str]) -> "dict[str, Pipeline]":
    """Import open pipelines; return them as "image" or "query" steps, as they start.

    A name is ``module:attribute``. Modules in the current folder are found, too. Importing a module
    runs its code.

    Raises:
        ConfigError: a name is malformed, its module cannot be imported, it is not an open pipeline
            that starts like `image_steps` or `query_steps`, or two start alike.
    """
    steps: dict[str, Pipeline] = {}
    for name in names:
        pipeline = _imported(name)
        kind = _kind(name, pipeline)
        if kind in steps:
            raise ConfigError(f"{name} are further {kind} steps: combine both in one pipeline.")
        steps[kind] = pipeline
    return steps


def _imported(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(f"invalid pipeline {name!r}: write MODULE:ATTRIBUTE.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise ConfigError(
            f"cannot load the pipeline {name!r}: {type(error).__name__}: {error}"
        ) from error


def _kind(name: str, pipeline: Any) -> str:
    from imgsearch.pipelines.chunks import INPUTS
    from imgsearch.towhee import Pipeline

    if isinstance(pipeline, Pipeline):
        inputs = pipeline.inputs()
        if inputs == ("query",):
            return "query"
        if inputs and set(inputs) <= set(INPUTS):
            return "image"
    raise ConfigError(
        f"{name} is not an open pipeline that starts like imgsearch.image_steps() or "
        "imgsearch.query_steps()."
    )
