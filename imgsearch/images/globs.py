"""Globs: the files that a pattern matches, without following links to folders."""

import fnmatch
import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_RECURSIVE: Final = "**"


def is_glob(text: str) -> bool:
    """Return whether a text has a character of patterns: ``*``, ``?`` or ``[``."""
    return glob.has_magic(text)


def matches(pattern: Path) -> Iterator[Path]:
    """Yield the matching files in the order of their parts, folder by folder.

    Unlike in `glob.glob`, ``**`` does not follow links. Folders that cannot be listed are passed
    over.

    Raises:
        OSError, ValueError, RecursionError: the pattern is invalid.
    """
    base, parts = Path(), list(pattern.parts)
    while parts and (not is_glob(parts[0]) or (base / parts[0]).exists()):
        base /= parts.pop(0)
    if not parts:
        return iter(())
    if parts[-1] == _RECURSIVE:  # a final ** matches files, too
        parts.append("*")
    if ".." in parts:  # a folder above a match is not below it
        return iter(sorted(path for path in base.glob(str(Path(*parts))) if not path.is_dir()))
    hidden = any(part.startswith(".") for part in parts)
    return _Pattern(parts, hidden=hidden).walk(str(base))


class _Pattern:
    """The parts of a pattern. The state of a walk is the set of parts that may match next."""

    def __init__(self, parts: Sequence[str], *, hidden: bool) -> None:
        self._hidden, self._end = hidden, len(parts)
        self._parts = [None if part == _RECURSIVE else _compiled(part) for part in parts]

    def walk(self, base: str) -> Iterator[Path]:
        # a stack rather than recursion, because folders may be nested more deeply than calls
        stack = [self._entries(base, self._closed({0}))]
        while stack:
            item = next(stack[-1], None)
            if item is None:
                stack.pop()
                continue
            entry, state, recursive = item
            is_folder = entry.is_dir()
            if self._end in state and not is_folder:
                yield Path(entry.path)
            going = state - {self._end}
            if entry.is_symlink():  # only the part of a folder's name follows a link, not **
                going -= recursive
            if going and is_folder:
                stack.append(self._entries(entry.path, going))

    def _entries(
        self, folder: str, state: frozenset[int]
    ) -> Iterator[tuple["os.DirEntry[str]", frozenset[int], frozenset[int]]]:
        """Yield the matching entries of a folder, by name, each with its state.

        The second state has the parts that only a ``**`` leads to.
        """
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            return
        recursive = {place for place in state if self._parts[place] is None}
        for entry in entries:
            if not self._hidden and entry.name.startswith("."):
                continue
            name = os.path.normcase(entry.name)
            named = {
                place + 1
                for place in state
                if (part := self._parts[place]) is not None and part.match(name)
            }
            if recursive or named:
                after = self._closed(recursive)
                yield entry, self._closed(recursive | named), after - self._closed(named)

    def _closed(self, state: set[int]) -> frozenset[int]:
        """Return the state with the parts after each ``**``, which may match no folder at all."""
        closed = set(state)
        for place in range(self._end):  # in order, because several ** may follow each other
            if place in closed and self._parts[place] is None:
                closed.add(place + 1)
        return frozenset(closed)


def _compiled(part: str) -> "re.Pattern[str]":
    return re.compile(fnmatch.translate(os.path.normcase(part)))
