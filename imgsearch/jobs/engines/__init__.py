"""Engines that run the shards of a job: in this process, or on a cluster."""

from importlib import import_module
from typing import Final

from imgsearch.errors import ConfigError, MissingExtra
from imgsearch.jobs.engines.base import Engine, EngineOptions
from imgsearch.text import did_you_mean

_ENGINES: Final = {"here": "HereEngine", "ray": "RayEngine", "daft": "DaftEngine"}
ENGINES: Final = tuple(_ENGINES)
"""The names of engines."""


def engine(name: str, options: EngineOptions) -> Engine:
    """Return the engine with a name.

    Raises:
        ConfigError: there is no such engine, or it takes no cluster.
        MissingExtra: its package is not installed.
    """
    if name not in _ENGINES:
        raise ConfigError(
            f"unknown engine {name!r}. Use one of {', '.join(ENGINES)}"
            + did_you_mean(name, ENGINES)
        )
    if name == "here" and options.cluster is not None:
        raise ConfigError("the engine here runs on this machine: it takes no cluster.")
    try:
        module = import_module(f"imgsearch.jobs.engines.{name}")
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingExtra(f"the engine {name} needs {name}", extra=name, name=name) from error
    built: Engine = getattr(module, _ENGINES[name])(options)
    return built


__all__ = ["ENGINES", "Engine", "EngineOptions", "engine"]
