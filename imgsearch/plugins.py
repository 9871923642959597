"""Encoders and stores of other packages, which name them in their entry points.

A package's ``pyproject.toml`` has, for example::

    [project.entry-points."imgsearch.encoders"]
    mine = "my_package:build"

Nothing is imported until the name is used.
"""

from importlib import metadata
from typing import Any, Final

from imgsearch.errors import PluginFailed

ENCODERS: Final = "imgsearch.encoders"
"""The group of encoders: factories, as for `imgsearch.register_encoder`."""

BACKENDS: Final = "imgsearch.backends"
"""The group of stores: subclasses of `VectorBackend`, by the scheme of their URLs."""


def names(group: str) -> dict[str, str]:
    """Return name → package of the entry points in a group, sorted; imports nothing."""
    points = metadata.entry_points(group=group)
    return {point.name: _package(point) for point in sorted(points, key=lambda one: one.name)}


def load(group: str, name: str) -> Any:
    """Import and return the object that a package offers by a name, or None without a package.

    Raises:
        PluginFailed: its import failed, or several packages offer the name.
    """
    points = list(metadata.entry_points(group=group, name=name))
    packages = sorted({_package(point) for point in points})
    if not points:
        return None
    if len(packages) > 1:
        raise PluginFailed(
            f"several packages offer {name!r} in {group}: {', '.join(packages)}. Uninstall all but "
            "one."
        )
    try:
        return points[0].load()
    except Exception as error:
        raise broken(group, name, packages[0], f"{type(error).__name__}: {error}") from error


def broken(group: str, name: str, package: str, reason: str) -> PluginFailed:
    """Return the error for an entry point that cannot be used."""
    return PluginFailed(
        f"the plug-in {name!r} of the package {package} ({group}) cannot be used: {reason}. Update "
        "or uninstall the package."
    )


def _package(point: metadata.EntryPoint) -> str:
    return "?" if point.dist is None else point.dist.name
