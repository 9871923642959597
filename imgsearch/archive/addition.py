"""Adds images to an archive: reads, embeds and writes them.

Images are embedded before anything is written, so images that cannot be decoded leave no traces.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from typing import Final

from imgsearch.archive.libraries import WORTH_AN_INDEX
from imgsearch.archive.outcomes import Added, Stages
from imgsearch.archive.priority import Traffic
from imgsearch.archive.records import known_contents, relabel
from imgsearch.archive.stage_counter import StageCounter
from imgsearch.archive.upload import Incoming, Upload, embed
from imgsearch.archive.writer import Writer, Written
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import ConfigError, ImageBusy, ImageExists, ImageNotFound, ImgSearchError
from imgsearch.filters import composed
from imgsearch.images import sources
from imgsearch.library.library import Library
from imgsearch.library.progress import FailedFile, Parts
from imgsearch.library.repeated_files import RepeatedFiles
from imgsearch.types import Vector

_CHUNK: Final = 64  # images read at once, and the most images embedded at once
_SHORT: Final = 16  # images read at once while searches need the CPU
_CHUNK_BYTES: Final = 64 * 2**20  # bytes of encoded images in memory at once


@dataclass(frozen=True, slots=True)
class _Underway:
    """Images that are being written, and the future with the result."""

    uploads: Sequence[Upload]
    written: Future[Written]


class Addition:
    """Adds images to one collection.

    Of items with the same catalog row only the first is added; the rest share its outcome. If
    `stored` is True, originals are saved. If `traffic` is set, the addition slows down during
    searches, and then indexes whenever at least `soon` images are not indexed.
    """

    def __init__(
        self,
        library: Library,
        catalog: Catalog,
        writer: Writer,
        *,
        stored: bool,
        canceled: Callable[[], bool],
        on_stages: Callable[[Stages], None],
        on_failure: Callable[[FailedFile], None],
        traffic: Traffic | None = None,
        soon: float = inf,
    ) -> None:
        self._library, self._catalog, self._writer = library, catalog, writer
        self._stored = stored
        self._canceled, self._traffic, self._soon = canceled, traffic, soon
        self._counter = StageCounter(on_stages=on_stages, on_failure=on_failure)
        self._repeats = RepeatedFiles(self._counter, self._path)
        self._taken = 0
        self._entries: dict[str, Entry] = {}

    def run(self, items: Iterable[Incoming], *, total: int = 0, index: bool = False) -> Added:
        """Add `items`. Failed items are listed in the result.

        `total` is the expected number of items, 0 if unknown. If `index` is True, all added images
        are indexed at the end, even if they are few.

        Raises:
            EncoderError: the encoder cannot be built, or is not the collection's encoder.
            BackendError, CatalogError, ObjectStoreError: a store failed. Images that were being
                written stay pending until `repair` finishes them.
        """
        self._counter.add(found=total)
        underway: _Underway | None = None
        with ThreadPoolExecutor(1, "imgsearch-archive") as executor:
            for part in self._parts(items):
                started = time.monotonic()
                vectors, embedded = self._embed(part)
                self._finish(underway)
                underway = self._start(executor, embedded, vectors)
                if self._traffic is not None and self._traffic.busy:
                    self._finish(underway)
                    underway = None
                    self._index(self._soon)
                    self._traffic.give_way(time.monotonic() - started, self._canceled)
            self._finish(underway)
        self._index(1 if index else WORTH_AN_INDEX)
        return Added(
            tuple(self._entries.values()),
            self._counter.stages,
            tuple(self._counter.failures),
            tuple(self._counter.notes),
        )

    @property
    def _giving_way(self) -> bool:
        return self._traffic is not None and self._traffic.busy

    def _index(self, least: float) -> None:
        """Build the index if at least `least` added images are not indexed."""
        waiting = self._counter.stages.inserted - self._counter.stages.indexed
        if waiting >= least:
            self._library.collection.flush()
            self._counter.add(indexed=waiting)

    def _parts(self, items: Iterable[Incoming]) -> Iterator[Sequence[Upload]]:
        """Yield new images in parts. They start small, so that a killed job has progress."""
        parts = Parts(largest=_CHUNK)
        for chunk in self._chunks(items):
            for part in parts.of(self._new_uploads(chunk)):
                yield part
                if self._canceled():
                    return

    def _chunks(self, items: Iterable[Incoming]) -> Iterator[list[Upload]]:
        """Read images in chunks. Unreadable images are counted as failed."""
        remaining = iter(items)
        while not self._canceled():
            batch = list(islice(remaining, _SHORT if self._giving_way else _CHUNK))
            if not batch:
                return
            self._taken += len(batch)
            self._counter.add(found=max(0, self._taken - self._counter.stages.found))
            chunk, size = [], 0
            for item in batch:
                try:
                    chunk.append(Upload.read(item, self._library, stored=self._stored))
                except ImgSearchError as error:
                    place = sources.printable(item.place or item.name)
                    self._counter.failed(FailedFile.of(place, error))
                    continue
                size += len(chunk[-1].data)
                if size >= _CHUNK_BYTES:
                    yield chunk
                    chunk, size = [], 0
            yield chunk

    def _new_uploads(self, uploads: Sequence[Upload]) -> list[Upload]:
        """Return images whose row is not ready. Count all other images, and write their labels."""
        by_key = {upload.candidate.id: upload for upload in reversed(uploads)}
        firsts, labeled = self._repeats.firsts([upload.candidate for upload in uploads])
        for file in labeled:
            self._relabel(by_key[file.id].entry.id, file.label or "")
        first = [by_key[file.id] for file in firsts]
        known = self._catalog.find([upload.entry.id for upload in first])
        new: list[Upload] = []
        for upload in first:
            entry = known.get(upload.entry.id)
            if entry is not None and not _same(entry, upload.entry):
                error = ImageExists(f"the id {entry.id!r} belongs to another image")
                self._settle(upload, FailedFile.of(upload.entry.name, error))
            elif entry is None or entry.state != "ready":
                new.append(upload)
            else:
                self._entries[entry.id] = entry
                self._count_known(upload, entry)
                self._settle(upload)
        return new

    def _count_known(self, upload: Upload, entry: Entry) -> None:
        """Count an image that is already in the archive, and write its new label, if any.

        An image from a folder keeps a different label, because its folder's name has not changed
        since it was added, so a user must have changed the label.
        """
        stated, old = upload.stated, entry.label
        changed_by_user = entry.source == "folder" and composed(old) != stated
        if stated is None or stated == old or changed_by_user:
            self._counter.count("skipped")
        else:
            self._relabel(entry.id, stated)

    def _relabel(self, id_: str, label: str) -> None:
        """Write a row's label, and count the image as updated or failed."""
        try:
            self._entries[id_] = relabel(self._library, self._catalog, id_, label)
        except (ConfigError, ImageBusy, ImageNotFound) as error:
            known = self._entries.get(id_)
            name = id_ if known is None else known.place or known.name
            self._counter.failed(FailedFile.of(name, error))
        else:
            self._counter.count("updated")

    def _embed(self, uploads: Sequence[Upload]) -> tuple[dict[str, Vector], list[Upload]]:
        """Embed contents without a vector. Returns vectors by content, and the images to write."""
        contents = {upload.entry.content: upload for upload in uploads}
        known = known_contents(self._library, list(contents))
        new = [upload for content, upload in contents.items() if content not in known]
        vectors, failures = embed(self._library, new, one_core=self._giving_way)
        usable = []
        for upload in uploads:
            if upload.entry.content in failures:
                path = upload.entry.place or upload.entry.name
                self._settle(upload, replace(failures[upload.entry.content], path=path))
            else:
                usable.append(upload)
        decoded = sum(failure.stage == "embed" for failure in failures.values()) + len(usable)
        self._counter.add(decoded=decoded, embedded=len(usable))
        return vectors, usable

    def _start(
        self, executor: Executor, uploads: Sequence[Upload], vectors: Mapping[str, Vector]
    ) -> _Underway:
        return _Underway(uploads, executor.submit(self._writer.write, uploads, vectors))

    def _finish(self, underway: _Underway | None) -> None:
        """Wait until images are written. Count them and later items with the same rows."""
        if underway is None:
            return
        outcome = underway.written.result()
        ids = [upload.entry.id for upload in underway.uploads]
        ids = [id_ for id_ in ids if id_ not in outcome.failures]
        self._entries |= self._catalog.find(ids)
        for upload in underway.uploads:
            self._correct_label(upload)
        new = len(outcome.new)
        # a row that another writer finished is counted as skipped here, because it is new there
        self._counter.add(inserted=new, searchable=new, skipped=len(ids) - new)
        for upload in underway.uploads:
            self._settle(upload, outcome.failures.get(upload.entry.id))

    def _correct_label(self, upload: Upload) -> None:
        """Write the new label of a row that an earlier addition left pending with another label."""
        entry = self._entries.get(upload.entry.id)
        if entry is not None and upload.stated not in (None, entry.label):
            with suppress(ImageBusy, ImageNotFound):
                relabel(self._library, self._catalog, entry.id, upload.stated or "")

    def _settle(self, upload: Upload, failure: FailedFile | None = None) -> None:
        """Record an image's outcome, and write the labels of later items with the same row."""
        if failure is not None:
            self._counter.failed(failure)
        for file in self._repeats.settle(upload.candidate, failure):
            self._relabel(upload.entry.id, file.label or "")

    def _path(self, key: str) -> str:
        """Return the place or name of an added image, given its key in `RepeatedFiles`."""
        entries = self._entries.values()
        return next(
            (entry.place or entry.name for entry in entries if Upload.key(entry) == key), "?"
        )


def _same(one: Entry, other: Entry) -> bool:
    return (one.content, one.collection) == (other.content, other.collection)
