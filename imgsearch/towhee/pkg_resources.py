"""The part of setuptools' ``pkg_resources`` that Towhee 1.1.3 uses.

setuptools 82 removed pkg_resources. `import_hook` gives this module to Towhee, and to no other
program. Importing it imports neither packaging nor `importlib.metadata`, which takes 20 ms.
"""

import pkgutil
import re
import sys
from collections.abc import Iterator
from typing import Any, Final, NamedTuple


class DistributionNotFound(Exception):
    """No installed distribution meets a requirement."""


class _Distribution(NamedTuple):
    project_name: str


class _WorkingSet:
    """The installed distributions, read at each iteration."""

    def __iter__(self) -> Iterator[_Distribution]:
        from importlib import metadata

        for distribution in metadata.distributions():
            if distribution.name:  # a damaged installation has no name
                yield _Distribution(re.sub(r"[^A-Za-z0-9.]+", "-", distribution.name))


working_set: Final = _WorkingSet()


def declare_namespace(name: str) -> None:
    """Extend a package's path by folders of its name in `sys.path`, such as another towhee.models.

    The package's module must be in `sys.modules`.
    """
    package = sys.modules[name]
    package.__path__ = pkgutil.extend_path(package.__path__, name)


def require(requirement: str) -> None:
    """Check that an installed distribution meets a line of a requirements.txt.

    Raises:
        DistributionNotFound: the distribution is missing or has another version.
    """
    from importlib import metadata

    from packaging.requirements import Requirement

    if not requirement.strip():
        return
    wanted = Requirement(requirement)
    if wanted.marker and not wanted.marker.evaluate():
        return
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError as error:
        raise DistributionNotFound(f"{wanted.name} is not installed") from error
    if not wanted.specifier.contains(version, prereleases=True):
        raise DistributionNotFound(f"{wanted.name} is installed as {version}, not {requirement}")


def __getattr__(name: str) -> Any:
    """Return the package ``packaging``, which towhee.models takes from here.

    Raises:
        AttributeError: the module has no such name.
    """
    if name != "packaging":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import packaging.version

    return packaging
