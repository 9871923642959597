"""The file index: which content each file of a library has, so that unchanged files are not read.

The index is a log in the notes collection of the store, so it works for every store and moves with
it. 50,000 files take some 4 MB. The index only saves work, and the collection is authoritative. The
index records the collection's number of rows. If the number differs, another program or an older
version has written to the collection, or a load was killed; then stored images are looked up again.

Like Git, the index trusts a file's size, times and inode, and reads files that may have changed
within the resolution of the clock after they were read.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from secrets import token_hex
from time import time_ns
from typing import Any, Final, NamedTuple

from imgsearch.backends import Collection, VectorBackend
from imgsearch.backends.note_log import Head, NoteLog, packed, unpacked
from imgsearch.images import sources
from imgsearch.images.moments import VIDEO

SAVED: Final = 500  # files in a part: some 35 kB
_UNKNOWN: Final = -1  # number of rows while a load runs, and after it was killed
_COARSE: Final = 2_000_000_000  # nanoseconds: FAT's resolution
_FINE: Final = 100_000_000  # nanoseconds: some ticks of a kernel's clock
_SECOND: Final = 1_000_000_000


class FileStat(NamedTuple):
    """The status by which a changed file is recognized without reading it; times in nanoseconds."""

    size: int
    modified: int
    changed: int
    inode: int

    @classmethod
    def of(cls, path: str) -> "FileStat | None":
        """Return the status of the file, through links. Returns None if there is no file."""
        try:
            stat = os.stat(path)  # noqa: PTH116  # pathlib takes twice as long
        except (OSError, ValueError):
            return None
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)

    def settled(self, now: int) -> "FileStat | None":
        """Return the status, or None if the file may change after `now` with equal times."""
        resolution = _COARSE if self.modified % _SECOND == 0 else _FINE
        last = max(self.modified, self.changed)
        return self if last < now - resolution else None


class FileRead(NamedTuple):
    """The content id of a file, and its status if it can be trusted later."""

    content: str
    stat: FileStat | None


class FileIndex:
    """The files of one collection: path → content id and status. Not thread-safe.

    Paths are absolute, with surrogate escapes. If `complete`, each stored image has its path here.
    `labels` holds the labels of images that are known to be stored. `kind` names the log: a service
    has an index of its own.
    """

    def __init__(
        self, store: VectorBackend, collection: Collection | None, kind: str = "files"
    ) -> None:
        self._store, self._kind = store, kind
        self._log: NoteLog | None = None
        self.files: dict[str, FileRead] = {}
        self.labels: dict[str, str] = {}
        self.complete = collection is None
        self._facts_read: dict[str, str] = {}  # content → names, joined by ","
        self.further: dict[str, set[str]] = {}
        """Other contents that are stored with a path: remains of a killed load."""

        self._paths: dict[str, set[str]] | None = None
        self._by_stat: dict[FileStat, str] | None = None
        self._unsaved: dict[str, None] = {}
        self._head, self._token, self._logged = Head(), "", 0
        self._rewrite = False
        if collection is not None:
            self._load(collection)

    def attach(self, collection: Collection) -> None:
        """Start the log of a collection that was just created."""
        self._token, self._log = token_hex(8), NoteLog(self._store, collection, self._kind)
        self._head = self._log.replace([], self._facts(_UNKNOWN))

    @property
    def attached(self) -> bool:
        """Whether the collection exists."""
        return self._log is not None

    @property
    def is_empty(self) -> bool:
        """Whether no file is known and the store has no log."""
        return not self.files and not self._unsaved and self._head == Head()

    def content(self, path: str, stat: FileStat | None) -> str | None:
        """Return the content id of an unchanged file. Returns None if it must be read."""
        known = self.files.get(path)
        if stat is None:
            return None
        if known is not None:
            return known.content if known.stat == stat else None
        if self._by_stat is None:
            self._by_stat = {file.stat: file.content for file in self.files.values() if file.stat}
        return self._by_stat.get(stat) if stat.inode else None  # a renamed folder

    def read(self, path: str) -> str | None:
        """Return the content id of a file, which is read unless it is unchanged.

        The new status of a file with its known content is noted. Returns None if the file cannot
        be read.
        """
        if (content := self.content(path, FileStat.of(path))) is not None:
            return content
        if (file := read_file(path)) is None:
            return None
        known = self.files.get(path)
        if known is not None and known.content == file.content and path not in self.further:
            self.set(path, file)
        return file.content

    def paths(self, content: str) -> set[str]:
        """Return the paths with a content."""
        if self._paths is None:
            self._paths = {}
            for path, file in self.files.items():
                self._paths.setdefault(file.content, set()).add(path)
        return self._paths.get(content, set())

    def holds(self, path: str, content: str) -> bool:
        """Return whether a file has this content now. Reads it unless it is unchanged."""
        stat = FileStat.of(path)
        if stat is None:
            return False
        if (known := self.content(path, stat)) is not None:
            return known == content
        return read_content(path) == content

    def is_sole(self, path: str, content: str) -> bool:
        """Return whether the image is known to be stored with this path, and has no other."""
        return self.complete and content in self.labels and self.paths(content) == {path}

    def set(self, path: str, file: FileRead) -> None:
        """Add or replace a file."""
        old = self.files.get(path)
        if old == file:
            return
        self.further.pop(path, None)
        self.files[path] = file
        self._unsaved[path] = None
        if self._paths is not None and (old is None or old.content != file.content):
            if old is not None:
                self._paths[old.content].discard(path)
            self._paths.setdefault(file.content, set()).add(path)

    def label(self, content: str, label: str, path: str) -> None:
        """Note that an image is stored with this label."""
        if self.labels.get(content) != label:
            self.labels[content] = label
            if path in self.files:
                self._unsaved[path] = None

    def facts(self, content: str) -> frozenset[str]:
        """Return the names of the facts that were read from the files of an image."""
        return frozenset(filter(None, self._facts_read.get(content, "").split(",")))

    def note_facts(self, content: str, names: Iterable[str], path: str) -> None:
        """Note that these facts were read from an image, whose file may have no such fact."""
        joined = ",".join(sorted(self.facts(content).union(names)))
        if self._facts_read.get(content, "") != joined:
            self._facts_read[content] = sys.intern(joined)
            if path in self.files:
                self._unsaved[path] = None

    def adopt(self, path: str) -> None:
        """Find a path whose stored form differs, because its name is not UTF-8."""
        if path.isascii() or path in self.files:
            return
        name = sources.printable(path)
        if name != path and (file := self.files.get(name)) is not None:
            further = self.further.pop(name, None)
            self.forget([name])
            self.set(path, file)
            if further:
                self.further[path] = further

    def forget(self, paths: Iterable[str]) -> None:
        """Remove files."""
        for path in paths:
            if (old := self.files.pop(path, None)) is not None:
                self._unsaved[path] = None
                if self._paths is not None:
                    self._paths[old.content].discard(path)
            self.further.pop(path, None)

    def forget_content(self, path: str, content: str) -> None:
        """Remove one content of a file. Further contents that are stored with its path stay."""
        others = self.further.pop(path, set()) - {content}
        file = self.files.get(path)
        if file is not None and file.content == content:
            if not others:
                self.forget([path])
                return
            self.set(path, FileRead(others.pop(), None))
        if others:
            self.further[path] = others

    def forget_images(self, contents: Iterable[str]) -> None:
        """Remove images with all their files."""
        for content in contents:
            self.labels.pop(content, None)
            self._facts_read.pop(content, None)
            for path in list(self.paths(content)):
                self.forget_content(path, content)

    def rebuild(self, collection: Collection) -> None:
        """Read the paths and labels of all stored images.

        Files of images that are not stored are forgotten.
        """
        stored: dict[str, tuple[str, str]] = {}
        frames: dict[str, str] = {}  # of videos, which have an index of their own
        for record in collection.iterate(vectors=False, batch=5_000):
            if "#" not in record.id:
                fields = record.fields
                path, label = str(fields.get("path", "")), str(fields.get("label", ""))
                if fields.get(VIDEO) and path.startswith(str(fields[VIDEO])):
                    frames[record.id] = label
                else:
                    stored[record.id] = path, label
        self.labels = frames | {content: label for content, (_, label) in stored.items()}
        by_name = {sources.printable(path): path for path in self.files}
        kept = {path: file for path, file in self.files.items() if file.content in stored}
        self.further = {}
        for content, (name, _) in stored.items():
            path = by_name.get(name, name)
            known = kept.setdefault(path, FileRead(content, None))
            if known.content != content:
                self.further.setdefault(path, set()).add(content)
        for path in self.further:  # the file is read to find out which image is the present one
            kept[path] = FileRead(kept[path].content, None)
        self.files, self._paths, self._by_stat = kept, None, None
        self.complete, self._rewrite = True, True

    def begin(self) -> None:
        """Note that the collection is about to change. A killed load leaves this note."""
        if self._log is not None and not self._token:
            self._token = token_hex(8)
            self._head = self._log.append(self._head, [], self._facts(_UNKNOWN))

    def save(self, *, least: int = 1) -> None:
        """Save changed files, if there are at least `least`."""
        if self._log is None or self._rewrite or len(self._unsaved) < least:
            return
        self.begin()
        parts = list(packed(self._rows(self._unsaved), SAVED))
        self._head = self._log.append(self._head, parts, self._facts(_UNKNOWN))
        self._logged += len(self._unsaved)
        self._unsaved = {}

    def finish(self, collection: Collection) -> None:
        """Save the index with the number of the collection's rows."""
        if self._log is None or not (self._token or self._unsaved or self._rewrite):
            return
        if self._rewrite or self._logged > 2 * len(self.files) + 10 * SAVED:
            self.begin()
            parts = list(packed(self._rows(self.files), SAVED))
            self._head = self._log.replace(parts, self._facts(_UNKNOWN))
            self._unsaved, self._logged, self._rewrite = {}, len(self.files), False
        self.save()
        head = self._log.head()
        same = head is not None and head.facts.get("writer") == self._token
        self.complete = self.complete and not self.further
        rows = collection.count() if same else _UNKNOWN  # another program loads, too
        self._head = self._log.append(self._head, [], self._facts(rows))
        self._token = ""

    def _load(self, collection: Collection) -> None:
        self._log = log = NoteLog(self._store, collection, self._kind)
        head = log.head()
        parts = None if head is None else log.parts(head)
        if head is None or parts is None:
            self._rewrite = True
            return
        self._head = head
        labels: dict[str, str] = {}
        for path, *values in unpacked(parts):
            self._logged += 1
            if not values:
                self.files.pop(path, None)
                continue
            content, label, *stat = values
            if stat and isinstance(stat[0], str):
                self._facts_read[content] = sys.intern(stat.pop(0))
            self.files[path] = FileRead(content, FileStat(*stat) if stat else None)
            if label is not None:
                labels[content] = label
        stored = {file.content for file in self.files.values()}
        self.labels = {content: label for content, label in labels.items() if content in stored}
        if head.facts.get("rows") != collection.count():
            self.labels, self._rewrite = {}, True
        else:
            self.complete = bool(head.facts.get("complete"))

    def _facts(self, rows: int) -> Mapping[str, Any]:
        return {"rows": rows, "complete": self.complete, "writer": self._token}

    def _rows(self, paths: Iterable[str]) -> Iterator[Sequence[Any]]:
        for path in paths:
            file = self.files.get(path)
            if file is None:
                yield (path,)
            else:
                names = self._facts_read.get(file.content, "")
                label = self.labels.get(file.content)
                yield (path, file.content, label, *filter(None, (names,)), *(file.stat or ()))


def read_content(path: str) -> str | None:
    """Return the content id of a file. Returns None if it cannot be read."""
    try:
        return sources.content_id(sources.read(path))
    except OSError:
        return None


def read_file(path: str) -> FileRead | None:
    """Return the content id of a file and its status. Returns None if it cannot be read."""
    now, stat = time_ns(), FileStat.of(path)
    content = read_content(path)
    if content is None:
        return None
    return FileRead(content, None if stat is None else stat.settled(now))
