"""The videos of a sync: each is one file, whose frames are replaced and deleted together.

A mark is a text that is equal for equal files with equal samplings. It takes the place of a content
in the plan of a sync and in the file index.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from time import time_ns
from typing import Any, cast

from imgsearch.archive.clips import ClipRead
from imgsearch.archive.originals import video_of
from imgsearch.archive.upload import Incoming
from imgsearch.catalog import Entry, Place
from imgsearch.images import sources
from imgsearch.images.files import open_regular
from imgsearch.images.sampling import Sampling
from imgsearch.library.file_index import FileIndex, FileRead, FileStat


class ClipMarks:
    """The marks of the videos of one sync with a sampling."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self._read: dict[str, ClipRead] = {}

    def note(self, read: ClipRead) -> None:
        """Note a video whose frames were all read."""
        self._read[read.place] = read

    def stored(self, rows: Iterable[Place], index: FileIndex | None) -> dict[str, str]:
        """Return the marks of the videos with these rows. They end in "@" if a frame is missing."""
        videos_ = {video_of(row.place): row.original for row in rows if row.original}
        missing = {video_of(row.place) for row in rows if row.original and row.state != "ready"}
        files = {} if index is None or not videos_ else index.files
        known = {sources.printable(path): file for path, file in files.items() if _is_mark(file)}

        def mark(path: str, original: str) -> str:
            """Return the known mark of a video, or one that fits no sampling."""
            if path in known and path not in missing:
                content = known[path].content
                if _file(content) == original:
                    return content
            return f"{original}@"

        return {path: mark(path, original) for path, original in videos_.items()}

    def is_current(self, mark: str) -> bool:
        """Return whether a content of the file index needs no reading by this sampling."""
        return "@" not in mark or mark.endswith(f"@{self.sampling}")

    def unchanged(self, path: str, index: FileIndex | None) -> str | None:
        """Return the mark of an unchanged file. Returns None if it must be read.

        A file that was new when it was read is compared by its hash.
        """
        now, stat = time_ns(), FileStat.of(path)
        if index is None or stat is None:
            return None
        known = index.files.get(path)
        if known is None or known.stat is not None:
            return index.content(path, stat)
        if self.of_file(path) != known.content:
            return None
        index.set(path, FileRead(known.content, stat.settled(now)))
        return known.content

    def of_file(self, path: str) -> str | None:
        """Return the mark of a file, which is read. Returns None if it cannot be read."""
        try:
            with open_regular(path) as file:
                digest = hashlib.file_digest(cast("Any", file), "sha256").hexdigest()
        except (OSError, ValueError):
            return None
        return f"{digest}@{self.sampling}"

    @property
    def marks(self) -> dict[str, str]:
        """The marks of the videos that were read."""
        return {path: f"{read.content}@{self.sampling}" for path, read in self._read.items()}

    def save(self, items: Iterable[Incoming], index: FileIndex) -> None:
        """Save the marks of these videos. A video that was not read completely has none."""
        marks = self.marks
        for item in items:
            place = sources.printable(item.place)
            if item.is_video and place in marks:
                index.set(item.place, FileRead(marks[place], self._read[place].stat))
            elif item.is_video:
                index.forget([item.place])


class Replaced:
    """The rows that a sync replaces or deletes.

    `rows` are those before it, `entries` those that were added or known, and `after` the contents
    by path after it.
    """

    def __init__(
        self, rows: Sequence[Place], entries: Sequence[Entry], after: Mapping[str, str]
    ) -> None:
        self._rows, self._after = rows, after
        self._ids = {entry.id for entry in entries}
        self._places = {entry.place: entry for entry in entries}

    @cached_property
    def _clips(self) -> set[str]:
        return {video_of(place) for place, entry in self._places.items() if entry.original}

    def outdated(self) -> list[Place]:
        """Return the rows of files that have other bytes, or other frames, now."""
        return [row for row in self._rows if self._is_outdated(row)]

    def removed(self, paths: Collection[str]) -> list[Place]:
        """Return the rows of files."""
        return [row for row in self._rows if path_of(row) in paths]

    def successors(self, old: Iterable[Place], renames: Mapping[str, str]) -> dict[str, Entry]:
        """Return the new entry of each old row that has one, by the row's id."""
        new: dict[str, Entry] = {}
        for row in old:
            path = path_of(row)
            place = renames.get(path, path) + row.place[len(path) :]
            if place in self._places:
                new[row.id] = self._places[place]
        return new

    def _is_outdated(self, row: Place) -> bool:
        if row.original:
            return path_of(row) in self._clips and row.id not in self._ids
        return row.content != self._after.get(row.place, row.content)


def path_of(row: Place) -> str:
    """Return the path of the file that a row is of."""
    return video_of(row.place) if row.original else row.place


def _is_mark(file: FileRead) -> bool:
    return "@" in file.content


def _file(mark: str) -> str:
    return mark.partition("@")[0]
