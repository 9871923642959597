"""Finds and deletes images by id, path, folder or glob.

The files may no longer exist, so targets are compared with the stored paths, part by part:
``/a/b`` names ``/a/b/1.jpg`` and not ``/a/bc/1.jpg``.
"""

import glob
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import reduce
from itertools import chain
from operator import or_
from pathlib import PurePath
from typing import Final

from imgsearch.backends import Collection
from imgsearch.backends.checks import MAX_TEXT
from imgsearch.backends.regions import has_regions, has_videos
from imgsearch.errors import ConfigError
from imgsearch.filters import Field, Filter, composed
from imgsearch.images import sources
from imgsearch.images.moments import VIDEO
from imgsearch.library.progress import absolute

_FILTERED: Final = 16  # folders in one filter; with more folders all records are read


def delete_images(collection: Collection, ids: Sequence[str]) -> int:
    """Delete the images of these records, with their regions; return the number of images."""
    if not ids or not has_regions(collection):
        return collection.delete(ids)
    images = sorted({id_.partition("#")[0] for id_ in ids})
    known = collection.get(images)
    regions = collection.iterate(where=Field("image").isin(images), vectors=False)
    collection.delete([*(record.id for record in regions if record.id not in known), *images])
    return len(known)


def named_ids(
    collection: Collection,
    targets: Sequence[str | os.PathLike[str]],
    on_missing: Callable[[str], None] | None = None,
) -> list[str]:
    """Return the ids of the records that `targets` name.

    A target is an id, a file's path, a glob, or a folder, which names the files below it. A glob
    may match folders, too, and ``**`` matches any number of them. A record's path is never read as
    a glob. `on_missing` is called with each target that names no record.

    Raises:
        ConfigError: a target is empty.
    """
    texts = [os.fsdecode(target) for target in targets]
    if not all(texts):
        raise ConfigError("empty path: it names no image. Give an id, a path, a folder or a glob.")
    wanted = [text for text in texts if sources.is_content_id(text)]
    known = collection.get(wanted)
    ids = {text: [text] for text in wanted if text in known}
    ids |= _by_path(collection, [text for text in texts if not sources.is_content_id(text)])
    for text in dict.fromkeys(texts):
        if text not in ids and on_missing is not None:
            on_missing(text)
    return list(dict.fromkeys(chain.from_iterable(ids.values())))


def _by_path(collection: Collection, texts: Sequence[str]) -> dict[str, list[str]]:
    """Return a map from targets to record ids. Targets without records are left out."""
    paths = {
        text: sources.printable(absolute(text)) for text in dict.fromkeys(texts) if _storable(text)
    }
    files = _files(collection, paths) if paths else {}
    others = {
        text: _Tree.of(text, path)
        for text, path in paths.items()
        if text not in files or os.path.isdir(path)  # noqa: PTH112  # pathlib raises for a NUL
    }
    return {**files, **_below(collection, others)} if others else files


def _files(collection: Collection, paths: dict[str, str]) -> dict[str, list[str]]:
    """Return a map from targets that are a record's path to record ids."""
    texts = defaultdict(list)
    for text, path in paths.items():
        texts[composed(path)].append(text)
    same: dict[str, list[str]] = defaultdict(list)
    alike: dict[str, list[str]] = defaultdict(list)  # in another Unicode form
    names = sorted(paths.values())
    where: Filter = Field("path").isin(names)
    if has_videos(collection):
        where |= Field(VIDEO).isin(names)
    for record in collection.iterate(where=where, vectors=False):
        path = str(record.fields["path"])
        path = path if composed(path) in texts else str(record.fields.get(VIDEO, path))
        for text in texts[composed(path)]:
            (same if paths[text] == path else alike)[text].append(record.id)
    return {**alike, **same}


@dataclass(frozen=True)
class _Tree:
    """A target, read both as a folder and as a glob: `pattern` below the folder `base`."""

    folder: str
    base: str
    pattern: tuple[str, ...]

    @classmethod
    def of(cls, text: str, path: str) -> "_Tree":
        path = composed(path)  # macOS decomposes file names
        parts = PurePath(path).parts
        current = PurePath(composed(sources.printable(absolute("."))))
        relative = not os.path.isabs(text) and PurePath(path).is_relative_to(current)  # noqa: PTH117
        plain = len(current.parts) if relative else 0  # the current folder may be called "[x]"
        while plain < len(parts) and not glob.has_magic(parts[plain]):
            plain += 1
        pattern = parts[plain:] if glob.has_magic(text) else ()
        return cls(_slashed(path), _slashed(str(PurePath(*parts[:plain]))), pattern)

    @property
    def start(self) -> str:
        """The prefix that the paths of all matching records share."""
        return self.base if self.pattern else self.folder

    def matches(self, path: str) -> bool:
        """Return whether the pattern matches a record's path or a folder above it."""
        below = PurePath(path.removeprefix(self.base)).parts
        return path.startswith(self.base) and _match(below, self.pattern)


def _below(collection: Collection, trees: dict[str, _Tree]) -> dict[str, list[str]]:
    """Return a map from targets to record ids. A folder with records is not read as a glob."""
    folders, in_folder, matched = defaultdict(list), defaultdict(list), defaultdict(list)
    for text, tree in trees.items():
        folders[tree.folder].append(text)
    globs = [(text, tree) for text, tree in trees.items() if tree.pattern]
    for id_, path in _candidates(collection, trees.values()):
        for folder in PurePath(path).parents:
            for text in folders.get(_slashed(str(folder)), ()):
                in_folder[text].append(id_)
        for text, tree in globs:
            if tree.matches(path):
                matched[text].append(id_)
    return {**matched, **in_folder}


def _candidates(collection: Collection, trees: Iterable[_Tree]) -> Iterator[tuple[str, str]]:
    """Yield the (id, path) of each record that may match one of the trees."""
    starts = {tree.start for tree in trees}
    where: Filter | None = None
    if len(starts) <= _FILTERED:
        where = reduce(or_, (Field("path").startswith(start) for start in sorted(starts)))
    for record in collection.iterate(where=where, vectors=False):
        yield record.id, composed(str(record.fields.get("path", "")))


def _match(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Return whether a pattern matches a path or a folder above it.

    A name that begins with a dot requires a pattern that begins with one, as in `sources`.
    """
    if not pattern:
        return True
    if not parts:
        return False
    first, *others = pattern
    hidden = parts[0].startswith(".") and not first.startswith(".")
    if first == "**":
        rest = tuple(others)
        return _match(parts, rest or ("*",)) or (not hidden and _match(parts[1:], pattern))
    return not hidden and fnmatchcase(parts[0], first) and _match(parts[1:], tuple(others))


def _storable(text: str) -> bool:
    """Return whether a store can hold the path."""
    return "\0" not in text and len(sources.printable(text).encode()) <= MAX_TEXT


def _slashed(folder: str) -> str:
    return folder if folder.endswith(os.sep) else folder + os.sep
