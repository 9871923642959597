"""Adds images to an archive: reads and embeds them, and has `Writing` write them.

Images are embedded first, so nothing is written for an image that cannot be decoded.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from typing import Final

from imgsearch.archive.labels import relabel
from imgsearch.archive.libraries import WORTH_AN_INDEX
from imgsearch.archive.outcomes import Added, Stages
from imgsearch.archive.priority import Traffic
from imgsearch.archive.reading import Read, known_vectors, vectors_of_images
from imgsearch.archive.stage_counter import StageCounter
from imgsearch.archive.upload import Incoming
from imgsearch.archive.writer import Writing, Written
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import ConfigError, ImageBusy, ImageExists, ImageNotFound, ImgSearchError
from imgsearch.filters import composed
from imgsearch.images import sources
from imgsearch.library.library import Library
from imgsearch.library.progress import FailedFile, Parts
from imgsearch.library.repeated_files import RepeatedFiles
from imgsearch.types import Vector

_CHUNK: Final = 64  # images read at once, and the most that are embedded at once
_SHORT: Final = 16  # the same during searches, which wait for the cores meanwhile
_CHUNK_BYTES: Final = 64 * 2**20  # encoded images held at once


@dataclass(frozen=True, slots=True)
class _Underway:
    """Images that are being written, and the future result."""

    read: Sequence[Read]
    written: Future[Written]


class Adding:
    """Adds images to one collection.

    Of items that get the same row the first counts, and the others share its outcome. With
    `traffic` it gives way to searches, and meanwhile indexes every `soon` images.
    """

    def __init__(
        self,
        library: Library,
        catalog: Catalog,
        writing: Writing,
        *,
        cancelled: Callable[[], bool],
        on_stages: Callable[[Stages], None],
        on_failure: Callable[[FailedFile], None],
        traffic: Traffic | None = None,
        soon: float = inf,
    ) -> None:
        self._library, self._catalog, self._writing = library, catalog, writing
        self._cancelled, self._traffic, self._soon = cancelled, traffic, soon
        self._counter = StageCounter(on_stages=on_stages, on_failure=on_failure)
        self._repeats = RepeatedFiles(self._counter, self._path)
        self._taken = 0
        self._entries: dict[str, Entry] = {}

    def run(self, items: Iterable[Incoming], *, found: int = 0, index: bool = False) -> Added:
        """Add `items`; failed ones are listed in the outcome. With `index` even a few are indexed.

        Raises:
            EncoderError: the encoder cannot be built, or is not the collection's.
            BackendError, CatalogError, ObjectStoreError: a store failed; the images that were being
                written are pending, and `repair` finishes them.
        """
        self._counter.add(found=found)
        underway: _Underway | None = None
        with ThreadPoolExecutor(1, "imgsearch-archive") as writer:
            for part in self._parts(items):
                began = time.monotonic()
                vectors, embedded = self._embedded(part)
                self._finish(underway)
                underway = self._start(writer, embedded, vectors)
                if self._traffic is not None and self._traffic.busy:
                    self._finish(underway)
                    underway = None
                    self._index(self._soon)
                    self._traffic.give_way(time.monotonic() - began, self._cancelled)
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
        """Have the store index the images that no index covers, if they are at least `least`."""
        waiting = self._counter.stages.inserted - self._counter.stages.indexed
        if waiting >= least:
            self._library.collection.flush()
            self._counter.add(indexed=waiting)

    def _parts(self, items: Iterable[Incoming]) -> Iterator[Sequence[Read]]:
        """Yield new images in parts, small at first, so that a killed job makes progress."""
        parts = Parts(largest=_CHUNK)
        for chunk in self._chunks(items):
            for part in parts.of(self._unknown(chunk)):
                yield part
                if self._cancelled():
                    return

    def _chunks(self, items: Iterable[Incoming]) -> Iterator[list[Read]]:
        """Read images in chunks; count the unreadable ones as failed."""
        waiting = iter(items)
        while not self._cancelled():
            taken = list(islice(waiting, _SHORT if self._giving_way else _CHUNK))
            if not taken:
                return
            self._taken += len(taken)
            self._counter.add(found=max(0, self._taken - self._counter.stages.found))
            read, size = [], 0
            for item in taken:
                try:
                    read.append(Read.of(item, self._library, stored=self._writing.keeps_originals))
                except ImgSearchError as error:
                    place = sources.printable(item.place or item.name)
                    self._counter.failed(FailedFile.of(place, error))
                    continue
                size += len(read[-1].data)
                if size >= _CHUNK_BYTES:
                    yield read
                    read, size = [], 0
            yield read

    def _unknown(self, read: Sequence[Read]) -> list[Read]:
        """Return the images whose row is not ready; count the others and write their labels."""
        by_key = {image.candidate.id: image for image in reversed(read)}
        firsts, labelled = self._repeats.firsts([image.candidate for image in read])
        for file in labelled:
            self._relabel(by_key[file.id].entry.id, file.label or "")
        first = [by_key[file.id] for file in firsts]
        known = self._catalog.find([image.entry.id for image in first])
        fresh: list[Read] = []
        for image in first:
            entry = known.get(image.entry.id)
            if entry is not None and not _same(entry, image.entry):
                error = ImageExists(f"the id {entry.id!r} is another image's")
                self._settle(image, FailedFile.of(image.entry.name, error))
            elif entry is None or entry.state != "ready":
                fresh.append(image)
            else:
                self._entries[entry.id] = entry
                self._follow(image, entry)
                self._settle(image)
        return fresh

    def _follow(self, read: Read, entry: Entry) -> None:
        """Count an image that is in the archive, and write the label that is stated for it.

        An image from a folder keeps its label: the folder's name has not changed since it was
        added, so a user changed the label.
        """
        stated, old = read.stated, entry.label
        changed_by_user = entry.source == "folder" and composed(old) != stated
        if stated is None or stated == old or changed_by_user:
            self._counter.count("skipped")
        else:
            self._relabel(entry.id, stated)

    def _relabel(self, id_: str, label: str) -> None:
        """Write the label of a row, and count its image."""
        try:
            self._entries[id_] = relabel(self._library, self._catalog, id_, label)
        except (ConfigError, ImageBusy, ImageNotFound) as error:
            known = self._entries.get(id_)
            name = id_ if known is None else known.place or known.name
            self._counter.failed(FailedFile.of(name, error))
        else:
            self._counter.count("updated")

    def _embedded(self, read: Sequence[Read]) -> tuple[dict[str, Vector], list[Read]]:
        """Embed the contents that have no vector; return vectors, and the images to write."""
        known = known_vectors(self._library, [image.entry.content for image in read])
        new = {image.entry.content: image for image in read if image.entry.content not in known}
        vectors, failed = vectors_of_images(
            self._library, list(new.values()), one_core=self._giving_way
        )
        usable = []
        for image in read:
            if image.entry.content in failed:
                path = image.entry.place or image.entry.name
                self._settle(image, replace(failed[image.entry.content], path=path))
            else:
                usable.append(image)
        decoded = sum(line.stage == "embed" for line in failed.values()) + len(usable)
        self._counter.add(decoded=decoded, embedded=len(usable))
        return vectors, usable

    def _start(
        self, writer: Executor, read: Sequence[Read], vectors: Mapping[str, Vector]
    ) -> _Underway:
        return _Underway(read, writer.submit(self._writing.write, read, vectors))

    def _finish(self, underway: _Underway | None) -> None:
        """Wait until images are written; count them and later items of the same rows."""
        if underway is None:
            return
        outcome = underway.written.result()
        ids = [image.entry.id for image in underway.read if image.entry.id not in outcome.failures]
        self._entries |= self._catalog.find(ids)
        for image in underway.read:
            self._correct(image)
        new = len(outcome.new)
        # a row that another writer made ready meanwhile is new there, and skipped here
        self._counter.add(inserted=new, searchable=new, skipped=len(ids) - new)
        for image in underway.read:
            self._settle(image, outcome.failures.get(image.entry.id))

    def _correct(self, read: Read) -> None:
        """Write the stated label of a row that an earlier addition left pending."""
        entry = self._entries.get(read.entry.id)
        if entry is not None and read.stated not in (None, entry.label):
            with suppress(ImageBusy, ImageNotFound):
                relabel(self._library, self._catalog, entry.id, read.stated or "")

    def _settle(self, read: Read, failure: FailedFile | None = None) -> None:
        """Record the outcome of an image, and write the labels of later items of its row."""
        if failure is not None:
            self._counter.failed(failure)
        for file in self._repeats.settle(read.candidate, failure):
            self._relabel(read.entry.id, file.label or "")

    def _path(self, key: str) -> str:
        """Return the place or name of an image of this addition by its key in `RepeatedFiles`."""
        entries = self._entries.values()
        return next((entry.place or entry.name for entry in entries if Read.key(entry) == key), "?")


def _same(one: Entry, other: Entry) -> bool:
    return (one.content, one.collection) == (other.content, other.collection)
