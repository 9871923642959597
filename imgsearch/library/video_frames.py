"""Videos of a library: their frames as images, and which videos need no decoding.

A frame is an image in memory whose path is ``clip.mp4#t=12``, with the fields ``video`` and
``seconds``. An index in the store's notes has the frames of each video, and its file's status. A
video is one unit: if its file or the sampling has changed, its former frames are replaced.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import time_ns
from typing import Any, Final, cast

from imgsearch.errors import ImgSearchError
from imgsearch.filters import Field
from imgsearch.images import MAX_PIXELS, sources, videos
from imgsearch.images.files import open_regular
from imgsearch.images.moments import FIELDS, SECONDS, VIDEO, moment_of, moment_path
from imgsearch.images.references import Reference
from imgsearch.images.sampling import Sampling
from imgsearch.images.video_references import frames_of, is_video_file
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.file_index import FileIndex, FileRead, FileStat
from imgsearch.library.progress import Tally, absolute
from imgsearch.library.removal import delete_images
from imgsearch.library.tracked_files import image_rows
from imgsearch.types import Record, Value

_PARTIAL: Final = "partial"  # instead of a sampling: the video must be decoded again
_ROWS: Final = 500  # records that are read at once


class VideoFrames:
    """The videos of one collection during a load or a sync. Not thread-safe."""

    def __init__(
        self, handle: CollectionHandle, sampling: Sampling, *, max_pixels: int = MAX_PIXELS
    ) -> None:
        self._handle, self._sampling, self._max_pixels = handle, sampling, max_pixels
        self._index = FileIndex(handle.backend, handle.known, "videos")
        self._frames: dict[str, dict[str, str]] = {}  # video → paths of its frames → ids
        for path, file in self._index.files.items():
            if (moment := moment_of(path)) is not None:
                self._frames.setdefault(moment[0], {})[path] = file.content
        self._replaced: dict[str, tuple[dict[str, str], FileRead]] = {}

    @property
    def stored(self) -> dict[str, str]:
        """The videos with a mark for each: equal marks are equal files and samplings."""
        files = self._index.files
        return {path: _mark(file) for path, file in files.items() if videos.is_video(path)}

    def mark(self, path: str) -> str:
        """Return the mark of the file of a video as it is now."""
        stored = self.stored
        if self._is_unchanged(path):
            return stored[path]
        mark = _mark(FileRead(str(self._sampling), FileStat.of(path)))
        renamed = path not in stored and mark in stored.values()
        return mark if renamed else _mark(self._state(path))

    def expanded(self, images: Iterable[Reference], tally: Tally) -> Iterator[Reference]:
        """Yield the images, with the frames of each video in its place.

        Videos whose frames are all stored are counted as skipped. An error of a video is the
        content of a reference.
        """
        for image in images:
            if not is_video_file(image):
                yield image
            elif not self._sampling:
                tally.ignore(image.path)
            else:
                yield from self._video(replace(image, path=absolute(image.path)), tally)

    def finish(self) -> None:
        """Remove former frames of the videos that were read again, and save the index."""
        if (collection := self._handle.current()) is None:
            return
        for path, (frames, file) in self._replaced.items():
            self._drop(path, kept=set(frames.values()))
            self._note(path, frames, file)
        self._replaced.clear()
        self._save()
        if self._index.attached and not self._index.is_empty:
            self._index.finish(collection)

    def remove(self, paths: Iterable[str]) -> list[str]:
        """Remove the frames of these videos, and return the videos that had an entry."""
        removed = [path for path in paths if path in self._index.files]
        for path in removed:
            frames = self._frames.pop(path, {})
            self._index.forget([path, *frames])
            self._drop(path, kept=set())
        if removed:
            self.finish()
        return removed

    def _video(self, video: Reference, tally: Tally) -> Iterator[Reference]:
        path, known = video.path, self._index.files.get(video.path)
        if self._is_unchanged(path) and self._is_complete(video):
            for _ in self._frames.get(path, {}):
                tally.take()
            tally.count("skipped", len(self._frames.get(path, {})))
            return
        file = self._state(path)
        if known is None:
            self._index.set(path, FileRead(_PARTIAL, None))
            self._save()
        frames: dict[str, str] = {}
        try:
            for frame in frames_of(video, self._sampling, max_pixels=self._max_pixels):
                self._declare()
                frames[frame.path] = sources.content_id(frame.content)
                yield frame
        except ImgSearchError as error:
            yield Reference(path, content=error)
            file = FileRead(_PARTIAL, None)
        tally.count("videos")
        if known is None:
            self._note(path, frames, file)
            self._save()
        elif frames:
            self._replaced[path] = frames, file

    def _is_unchanged(self, path: str) -> bool:
        """Return whether all frames of a video were read, by this sampling and from this file."""
        known, stat = self._index.files.get(path), FileStat.of(path)
        if known is None or stat is None:
            return False
        sampling, _, digest = known.content.partition("@")
        if sampling != str(self._sampling):
            return False
        return known.stat == stat if not digest else digest == _digest(path)

    def _state(self, path: str) -> FileRead:
        """Return the sampling with the status of a file, or with its hash if it is too new."""
        now, stat = time_ns(), FileStat.of(path)
        if stat is not None and (settled := stat.settled(now)) is not None:
            return FileRead(str(self._sampling), settled)
        return FileRead(f"{self._sampling}@{_digest(path)}", None)

    def _declare(self) -> None:
        """Declare the fields of frames, once a video was decoded."""
        if not FIELDS.keys() <= self._handle.fields.keys():
            self._handle.declare(FIELDS)
            self._handle.require_writable()

    def _is_complete(self, video: Reference) -> bool:
        """Return whether all frames are stored, with the label and fields that are stated now."""
        collection = self._handle.current()
        if collection is None:
            return False
        stated: dict[str, Value] = dict(video.fields)
        if video.label is not None:
            stated["label"] = video.label
        ids = iter(set(self._frames.get(video.path, {}).values()))
        while part := list(islice(ids, _ROWS)):
            rows = collection.get(part)
            if len(rows) < len(part):
                return False
            own = [row for row in rows.values() if self._is_of(row, video.path)]
            if any(row.fields.get(name) != value for row in own for name, value in stated.items()):
                return False
        return True

    def _drop(self, path: str, *, kept: set[str]) -> None:
        """Remove the frames of a video except `kept`. Frames that another video has go to it."""
        collection = self._handle.current()
        if collection is None or VIDEO not in collection.schema.fields:
            return
        where = Field(VIDEO) == sources.printable(path)
        ids = {row.id.partition("#")[0] for row in collection.iterate(where=where, vectors=False)}
        moved: dict[str, tuple[str, float]] = {}
        for id_ in ids - kept:
            others = (
                other for other in sorted(self._index.paths(id_)) if self._is_other(other, path)
            )
            if (moment := moment_of(next(others, ""))) is not None:
                moved[id_] = moment
        for row in image_rows(collection, list(moved)):
            video, seconds = moved[row.id.partition("#")[0]]
            name = sources.printable(video)
            fields: dict[str, Value] = {
                "path": moment_path(name, seconds),
                VIDEO: name,
                SECONDS: seconds,
            }
            collection.upsert([replace(row, fields={**row.fields, **fields})])
        delete_images(collection, sorted(ids - kept - moved.keys()))
        collection.flush()

    def _is_other(self, frame: str, video: str) -> bool:
        """Return whether a frame's path is of another video that exists."""
        moment = moment_of(frame)
        return moment is not None and moment[0] != video and Path(moment[0]).exists()

    def _is_of(self, row: Record, path: str) -> bool:
        return row.fields.get(VIDEO) == sources.printable(path)

    def _note(self, path: str, frames: Mapping[str, str], file: FileRead) -> None:
        self._index.forget(self._frames.get(path, {}).keys() - frames.keys())
        self._frames[path] = dict(frames)
        for name, id_ in frames.items():
            self._index.set(name, FileRead(id_, None))
        self._index.set(path, file)

    def _save(self) -> None:
        if self._index.is_empty:  # a collection without videos needs no log
            return
        collection = self._handle.current()
        if collection is not None and not self._index.attached:
            self._index.attach(collection)
        self._index.save()


def _digest(path: str) -> str:
    """Return the hash of a file, "" if it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(cast("Any", file), "sha256").hexdigest()
    except (OSError, ValueError):
        return ""


def _mark(file: FileRead) -> str:
    """Return a text that is equal for equal files and samplings, also after a file was renamed."""
    stat = file.stat
    status = None if stat is None else (stat.size, stat.modified, stat.inode)
    return f"video:{file.content}:{status}"
