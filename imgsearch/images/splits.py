"""Splits of a dataset: folders such as ``train`` and ``test`` that are not classes."""

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
"""Folder names of a gallery and its queries, case-insensitive, the most common names first."""

NAMES: Final = frozenset(name for pair in PAIRS for name in pair)
"""The names of splits, in lower case."""


def pairs(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the pairs (gallery, queries) among the folders in `root`, in the order of `PAIRS`.

    Two folders such as train and test are splits if at least one of them has subfolders, or if
    `root` has only folders with names of splits. Otherwise they are classes.

    Raises:
        OSError: the folder cannot be listed.
    """
    folders = {entry.name.casefold(): entry for entry in _folders(root)}
    only_splits = folders.keys() <= NAMES
    for gallery, query in PAIRS:
        halves = [folders[name] for name in (gallery, query) if name in folders]
        if len(halves) == 2 and (only_splits or any(map(has_folders, halves))):
            yield halves[0], halves[1]


def is_split(folder: Path) -> bool:
    """Return whether a folder is a split of a dataset."""
    if folder.name.casefold() not in NAMES:
        return False
    try:
        return any(pairs(folder.parent))
    except OSError:
        return False


def has_folders(folder: Path) -> bool:
    """Return whether a folder has subfolders that are not hidden.

    Raises:
        OSError: the folder cannot be listed.
    """
    return any(_folders(folder))


def _folders(folder: Path) -> Iterator[Path]:
    return (
        entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir()
    )
