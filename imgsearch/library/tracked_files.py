"""The files of one load: which need no reading, and which stored images they replace."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Collection as Contents
from dataclasses import replace
from os import PathLike
from time import time_ns
from typing import Self

from imgsearch.backends import Collection, VectorBackend
from imgsearch.backends.regions import has_regions
from imgsearch.filters import Field
from imgsearch.images import metadata, sources
from imgsearch.images.regions import FIELDS as REGION_FIELDS
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.file_index import SAVED, FileIndex, FileRead, FileStat
from imgsearch.library.removal import delete_images, named_ids
from imgsearch.types import Record, Value


class TrackedFiles:
    """Follows the files of a load, and keeps the file index in step with the collection.

    `changed` maps the path of each file that replaced an image to its new content. `exif` are the
    fields that are read from the files.
    """

    def __init__(self, index: FileIndex, exif: Contents[str] = ()) -> None:
        self.index = index
        self._of_files = {"path", *metadata.PLACES, *exif, *REGION_FIELDS}
        self.changed: dict[str, str] = {}
        self._waiting: dict[str, dict[str, FileRead]] = {}  # content → files, until it is stored
        self._ready: dict[str, FileRead] = {}
        self._stored: set[str] = set()

    @classmethod
    def of(cls, handle: CollectionHandle, *, files: int) -> Self:
        """Return the tracker of a load of this number of files.

        A large load reads the stored paths first if the index does not have them.
        """
        index, collection = FileIndex(handle.backend, handle.known), handle.known
        if collection is not None and not index.complete and 2 * files >= collection.count():
            index.rebuild(collection)
        return cls(index, handle.exif)

    def unchanged(self, path: str) -> str | None:
        """Return the content id of an unchanged file of a stored image, otherwise None."""
        self.index.adopt(path)
        stat = FileStat.of(path)
        content = self.index.content(path, stat)
        if content is None or content not in self.index.labels:
            return None
        self.note(path, FileRead(content, stat))
        return content

    def note(self, path: str, file: FileRead) -> None:
        """Note the content of a file, which is saved once an image with this content is stored."""
        if file.content in self._stored:
            self._ready[path] = file
        else:
            self._waiting.setdefault(file.content, {})[path] = file

    def is_settled(self, path: str, content: str, label: str | None) -> bool:
        """Return whether a file's image is known to be stored with this path and label."""
        known = self.index.labels.get(content)
        return self.index.is_sole(path, content) and label in (None, known)

    def stored(self, contents: Iterable[str]) -> None:
        """Note that the images with these contents are stored."""
        for content in contents:
            self._stored.add(content)
            self._ready |= self._waiting.pop(content, {})

    def commit(self, collection: Collection) -> None:
        """Save which files have stored images, and remove the images that they replaced.

        An image is removed if its path has other content now and no other known path has its
        content.
        """
        ready, self._ready = self._ready, {}
        if not ready:
            return
        earlier = self._earlier(collection, ready)
        for path, file in ready.items():
            self.index.set(path, file)
        replaced: dict[str, list[str]] = {}
        for path, contents in earlier.items():
            if others := contents - {ready[path].content}:
                self.changed[path] = ready[path].content
                for content in others:
                    replaced.setdefault(content, []).append(path)
        if replaced:
            self._keep_values(collection, replaced)
            drop_paths(collection, self.index, replaced)
        self.index.save(least=SAVED)

    def _keep_values(self, collection: Collection, replaced: dict[str, list[str]]) -> None:
        """Give new images the labels and fields of the images that they replace.

        Only what the new image lacks is copied, and nothing that was read from the old file.
        """
        kept: dict[str, dict[str, dict[str, Value]]] = {}  # new content → stored path → values
        for content, row in collection.get(list(replaced)).items():
            name = str(row.fields.get("path", ""))
            values = {key: value for key, value in row.fields.items() if key not in self._of_files}
            for path in replaced[content]:
                if sources.printable(path) == name:
                    kept.setdefault(self.changed[path], {})[name] = values
        rows: list[Record] = []
        for row in image_rows(collection, list(kept)):
            content, name = row.id.partition("#")[0], str(row.fields.get("path", ""))
            values = kept[content].get(name, {})
            lacking = {key: v for key, v in values.items() if v and not row.fields.get(key)}
            if lacking:
                rows.append(replace(row, fields={**row.fields, **lacking}))
                self.index.label(content, str(rows[-1].fields.get("label", "")), name)
        if rows:
            self.index.begin()
            collection.upsert(rows)

    def _earlier(self, collection: Collection, ready: dict[str, FileRead]) -> dict[str, set[str]]:
        """Return the contents that were stored with each path."""
        contents: dict[str, set[str]] = {}
        unknown: dict[str, str] = {}
        for path in ready:
            if (known := self.index.files.get(path)) is not None:
                contents[path] = {known.content} | self.index.further.get(path, set())
            elif not self.index.complete:
                unknown[sources.printable(path)] = path
        if unknown:
            where = Field("path").isin(sorted(unknown))
            for record in collection.iterate(where=where, vectors=False):
                path = unknown.get(str(record.fields.get("path", "")), "")
                if path and "#" not in record.id:
                    contents.setdefault(path, set()).add(record.id)
        return contents


def read_file(path: str, read: Callable[[], bytes]) -> tuple[bytes, FileRead]:
    """Read a file; return its bytes, and its content id with its state. Thread-safe.

    Raises:
        SourceError: the file cannot be read.
    """
    now = time_ns()
    stat = FileStat.of(path)
    data = read()
    if stat is not None:
        stat = stat.settled(now)
    return data, FileRead(sources.content_id(data), stat)


def drop_paths(
    collection: Collection,
    index: FileIndex,
    dropped: dict[str, list[str]],
    *,
    removed: Contents[str] = (),
) -> tuple[list[str], list[str]]:
    """Take paths from images that no longer have them: content → paths.

    An image stays with another known path that has its content and is not in `removed`; otherwise
    it is deleted. Returns the deleted images, and the images that stay with another path.
    """
    deleted: list[str] = []
    moved: dict[str, str] = {}
    for content, row in collection.get(list(dropped)).items():
        stored = str(row.fields.get("path", ""))
        if all(sources.printable(path) != stored for path in dropped[content]):
            continue  # the image has another path
        others = index.paths(content) - {*dropped[content], *removed}
        other = next((path for path in sorted(others) if index.holds(path, content)), None)
        if other is None:
            deleted.append(content)
        else:
            moved[content] = other
    index.begin()
    if moved:
        collection.upsert(
            replace(row, fields={**row.fields, "path": sources.printable(path)})
            for content, path in moved.items()
            for row in image_rows(collection, [content])
        )
    if deleted:
        delete_images(collection, deleted)
        index.forget_images(deleted)
    return deleted, list(moved)


def remove_tracked(
    store: VectorBackend,
    collection: Collection,
    targets: Sequence[str | PathLike[str]],
    on_missing: Callable[[str], None] | None,
) -> int:
    """Delete the images that `targets` name, and take their files from the index.

    Returns the number of images. `on_missing` is called with each target that names no image.

    Raises:
        ConfigError: a target is empty.
    """
    ids = named_ids(collection, targets, on_missing)
    index = FileIndex(store, collection)
    if ids and index.labels:
        index.begin()
    removed = delete_images(collection, ids)
    if ids and index.labels:
        index.forget_images({id_.partition("#")[0] for id_ in ids})
        index.finish(collection)
    return removed


def image_rows(collection: Collection, contents: list[str]) -> list[Record]:
    """Return all rows of the images, with vectors. Rows of regions come first."""
    if not contents:
        return []
    if not has_regions(collection):
        return list(collection.get(contents, vectors=True).values())
    rows: Iterable[Record] = collection.iterate(where=Field("image").isin(contents))
    return sorted(rows, key=lambda row: "#" not in row.id)
