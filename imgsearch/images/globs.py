"""Globs: the files that a pattern matches, without following links to folders."""

import glob
from pathlib import Path


def is_glob(text: str) -> bool:
    """Return whether a text has a character of patterns: ``*``, ``?`` or ``[``."""
    return glob.has_magic(text)


def matches(pattern: Path) -> list[Path]:
    """Return the matching files, sorted. Unlike in `glob.glob`, ``**`` does not follow links.

    Raises:
        OSError, ValueError, RecursionError: the pattern is invalid, or a folder cannot be listed.
    """
    base, parts = Path(), list(pattern.parts)
    while parts and (not is_glob(parts[0]) or (base / parts[0]).exists()):
        base /= parts.pop(0)
    if not parts:
        return []
    if parts[-1] == "**":  # before Python 3.13, a final ** matches only folders
        parts.append("*")
    hidden = any(part.startswith(".") for part in parts)
    return sorted(
        path
        for path in base.glob(str(Path(*parts)))
        if (hidden or not any(part.startswith(".") for part in path.relative_to(base).parts))
        and not path.is_dir()
    )
