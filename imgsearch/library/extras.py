"""The packages of imgsearch and of each extra: installed, missing or of another version."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING

from imgsearch.distribution import NAME, NAMESAKE

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@dataclass(frozen=True, slots=True)
class Extra:
    """The packages of an extra, or of the core if `name` is "".

    `installed` maps packages to their versions. `missing` has a package's name, or e.g.
    ``"timm 0.9.2 instead of >=1.0.15"``.
    """

    name: str
    installed: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def extras(distribution: str = "") -> list[Extra]:
    """Return the core, and then each extra of imgsearch, sorted by name.

    They are read from the metadata of the installed `distribution`, by default imgsearch's. Returns
    an empty list if it is not installed, e.g. in a checkout that is only on the path.

    >>> [extra.name for extra in extras("pytest")]
    ['', 'dev']
    """
    name = distribution or _own()
    try:
        names = metadata.metadata(name).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    return [_extra(name, extra) for extra in ("", *sorted(names))]


def _own() -> str:
    """Return the name under which imgsearch is installed; early versions had the namesake's."""
    for name in (NAME, NAMESAKE):
        with suppress(metadata.PackageNotFoundError):
            if any(text.startswith("towhee") for text in metadata.requires(name) or ()):
                return name
    return NAME


def _extra(distribution: str, name: str) -> Extra:
    installed: dict[str, str] = {}
    missing: dict[str, None] = {}
    for requirement in _requirements(distribution, name, set()):
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing[requirement.name] = None
            continue
        if requirement.specifier.contains(version, prereleases=True):
            installed[requirement.name] = version
        else:
            missing[f"{requirement.name} {version} instead of {requirement.specifier}"] = None
    return Extra(name, installed, tuple(missing))


def _requirements(distribution: str, extra: str, seen: set[str]) -> "Iterator[Requirement]":
    """Yield the requirements of an extra, and of the extras of the distribution that it names."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    seen.add(extra)
    for text in metadata.requires(distribution) or ():
        requirement = Requirement(text)
        marker = requirement.marker
        everywhere = marker is None or marker.evaluate({"extra": ""})
        if extra and everywhere:
            continue  # of the core
        if marker is not None and not marker.evaluate({"extra": extra}):
            continue
        if canonicalize_name(requirement.name) != canonicalize_name(distribution):
            yield requirement
            continue
        for other in sorted(requirement.extras - seen):
            yield from _requirements(distribution, other, seen)
