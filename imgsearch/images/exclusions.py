"""Files and folders that a walk passes over: by default, by patterns, and by ignore files.

Patterns have the syntax of ``.gitignore``: ``*.tmp``, ``raw/``, ``/top.jpg``, ``a/**/b.jpg``, and
``!keep.jpg`` for an exception. Later patterns win: first the defaults, then the ignore files from
the walked folder downward, then the caller's patterns.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from imgsearch.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE: Final = ".imgsearchignore"
"""The name of ignore files; their patterns apply to their folder and below."""

DEFAULTS: Final = ("@eaDir", "#recycle", "._*", ".Trash*", "node_modules", ".git")
"""Names that are passed over unless a pattern excepts them: ``!node_modules``."""

_MAX_BYTES: Final = 1_000_000  # of an ignore file


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Patterns that apply below the folder `base`."""

    base: str
    spec: "GitIgnoreSpec"


@dataclass(frozen=True, slots=True)
class Exclusions:
    """The patterns that apply to one folder of a walk: `lists` in rising order of precedence."""

    lists: tuple[_Patterns, ...]
    own: int

    @classmethod
    def of(cls, root: str, patterns: Sequence[str] = ()) -> "Exclusions":
        """Return the exclusions of a walk that starts at `root`.

        Raises:
            ConfigError: a pattern is invalid.
        """
        defaults = _Patterns(root, _spec(tuple(f"[{d[0]}]{d[1:]}" for d in DEFAULTS)))
        own = (_Patterns(root, _spec(tuple(patterns))),) if patterns else ()
        return cls((defaults, *own), len(own))

    def at(self, folder: str) -> "Exclusions":
        """Return the exclusions of a folder that has an ignore file.

        Raises:
            SourceError: the ignore file cannot be read, or has an invalid pattern.
        """
        file = os.path.join(folder, IGNORE_FILE)  # noqa: PTH118 - as in the walk
        try:
            with open(file, encoding="utf-8", errors="surrogateescape") as lines:  # noqa: PTH123
                patterns = tuple(lines.read(_MAX_BYTES).splitlines())
            spec = _spec(patterns)
        except (OSError, ConfigError) as error:
            raise SourceError(f"{file}: {error}", path=file) from error
        place = len(self.lists) - self.own
        lists = (*self.lists[:place], _Patterns(folder, spec), *self.lists[place:])
        return Exclusions(lists, self.own)

    def cover(self, path: str, *, folder: bool = False) -> bool:
        """Return whether a file or folder is passed over."""
        excluded = False
        for patterns in self.lists:
            name = path.removeprefix(patterns.base).lstrip(os.sep) + "/" * folder
            include = patterns.spec.check_file(name).include
            excluded = excluded if include is None else include
        return excluded


@cache
def _spec(patterns: tuple[str, ...]) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # its import takes 13 ms of a search, which needs no walk

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise ConfigError(f"invalid pattern: {error}") from error
