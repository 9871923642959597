"""Folders that are the splits of a dataset, ``train`` and ``test``, rather than classes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

PAIRS: Final = (
    ("train", "test"),
    ("gallery", "query"),
    ("train", "val"),
    ("train", "valid"),
    ("train", "validation"),
)
"""Names of a gallery and of the queries searched for in it, in any case, the usual ones first."""

_NAMES: Final = frozenset(name for pair in PAIRS for name in pair)


def pairs(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the galleries and their queries that a folder holds, as `PAIRS` orders them.

    Two folders called train and test are splits if they hold folders, or if the folder holds
    nothing but splits; else they are classes.

    Raises:
        OSError: the folder cannot be listed.
    """
    folders = {entry.name.casefold(): entry for entry in _folders(root)}
    only_splits = folders.keys() <= _NAMES
    for gallery, query in PAIRS:
        halves = [folders[name] for name in (gallery, query) if name in folders]
        if len(halves) == 2 and (only_splits or any(map(has_folders, halves))):
            yield halves[0], halves[1]


def is_half(folder: Path) -> bool:
    """Return whether a folder is a split of the dataset that it lies in."""
    if folder.name.casefold() not in _NAMES:
        return False
    try:
        return any(pairs(folder.parent))
    except OSError:
        return False


def has_folders(folder: Path) -> bool:
    """Return whether a folder holds others that are not hidden.

    Raises:
        OSError: it cannot be listed.
    """
    return any(_folders(folder))


def _folders(folder: Path) -> Iterator[Path]:
    return (
        entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir()
    )
