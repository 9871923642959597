"""The packages of imgsearch and of each extra: installed, missing or of another version.

They are those in pyproject.toml of a checkout, whose installed metadata may be older; otherwise
those in the metadata of the installed distribution.
"""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from imgsearch.distribution import NAME, NAMESAKE

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
# package → others that have the same modules
_SAME: Final[Mapping[str, tuple[str, ...]]] = {
    "opencv-python-headless": (
        "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python",
    ),
}  # fmt: skip

_Requirements: TypeAlias = "dict[str, list[Requirement]]"
"""The requirements of the core, under "", and of each extra, for this machine."""


@dataclass(frozen=True, slots=True)
class Extra:
    """The packages of an extra, or of the core if `name` is "".

    `installed` maps packages to their versions. `missing` has a package's name, or e.g.
    ``"timm 0.9.2 instead of >=1.0.15"``.
    """

    name: str
    installed: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def extras(distribution: str = "", *, checkout: Path = _CHECKOUT) -> list[Extra]:
    """Return the core, and then each extra of imgsearch, sorted by name.

    They are read from pyproject.toml in the folder `checkout`, or from the metadata of the
    installed `distribution`, by default imgsearch's. Returns an empty list without either.

    >>> [extra.name for extra in extras("pytest")]
    ['', 'dev']
    """
    name = distribution or NAME
    requirements = None if distribution else _of_checkout(checkout)
    if requirements is None:
        name = distribution or _own()
        requirements = _of_metadata(name)
    return [_extra(name, extra, requirements) for extra in sorted(requirements)]


def _own() -> str:
    """Return the name under which imgsearch is installed; early versions had the namesake's."""
    for name in (NAME, NAMESAKE):
        with suppress(metadata.PackageNotFoundError):
            if any(text.startswith("towhee") for text in metadata.requires(name) or ()):
                return name
    return NAME


def _of_checkout(folder: Path) -> "_Requirements | None":
    """Return the requirements in pyproject.toml; None without the file, or if it is another's."""
    from packaging.requirements import Requirement

    try:
        with (folder / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file)["project"]
        if project["name"] != NAME:
            return None
        texts = {"": project["dependencies"], **project["optional-dependencies"]}
        parsed = {
            extra: [Requirement(text) for text in of_extra] for extra, of_extra in texts.items()
        }
    except (OSError, ValueError, KeyError, TypeError):  # ValueError: not TOML, or a requirement
        return None
    return {
        extra: [one for one in of_extra if one.marker is None or one.marker.evaluate()]
        for extra, of_extra in parsed.items()
    }


def _of_metadata(distribution: str) -> "_Requirements":
    """Return the requirements of an installed distribution, none if it is not installed."""
    from packaging.requirements import Requirement

    try:
        names = metadata.metadata(distribution).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return {}
    requirements: _Requirements = {name: [] for name in ("", *names)}
    for requirement in map(Requirement, metadata.requires(distribution) or ()):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            requirements[""].append(requirement)
            continue
        for name in names:
            if marker.evaluate({"extra": name}):
                requirements[name].append(requirement)
    return requirements


def _extra(distribution: str, name: str, requirements: "_Requirements") -> Extra:
    installed: dict[str, str] = {}
    missing: dict[str, None] = {}
    for requirement in _flat(distribution, name, requirements, set()):
        package, version = _installed(requirement.name)
        if version is None:
            missing[requirement.name] = None
        elif requirement.specifier.contains(version, prereleases=True):
            installed[package] = version
        else:
            missing[f"{package} {version} instead of {requirement.specifier}"] = None
    return Extra(name, installed, tuple(missing))


def _installed(package: str) -> tuple[str, str | None]:
    """Return a package, or an installed one with the same modules, and its version."""
    for name in (package, *_SAME.get(package, ())):
        with suppress(metadata.PackageNotFoundError):
            return name, metadata.version(name)
    return package, None


def _flat(
    distribution: str, extra: str, requirements: "_Requirements", seen: set[str]
) -> "Iterator[Requirement]":
    """Yield the requirements of an extra, and of the extras of the distribution that it names."""
    from packaging.utils import canonicalize_name

    seen.add(extra)
    for requirement in requirements.get(extra, ()):
        if canonicalize_name(requirement.name) != canonicalize_name(distribution):
            yield requirement
            continue
        for other in sorted(requirement.extras - seen):
            yield from _flat(distribution, other, requirements, seen)
