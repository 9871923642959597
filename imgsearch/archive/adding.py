"""How images get into an archive: read, embedded, and written in the order of `writing`.

Nothing is written for what cannot be decoded, since it is embedded first.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from typing import Final

from imgsearch import sources
from imgsearch.archive.incoming import Incoming
from imgsearch.archive.labels import relabel
from imgsearch.archive.libraries import WORTH_AN_INDEX
from imgsearch.archive.outcomes import Added, Stages
from imgsearch.archive.reading import Read, known_vectors, vectors_of_images
from imgsearch.archive.stage_counter import StageCounter
from imgsearch.archive.traffic import Traffic
from imgsearch.archive.writing import Writing, Written
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import ConfigError, ImageBusy, ImageExists, ImageNotFound, ImgSearchError
from imgsearch.filters import composed
from imgsearch.ledger import Ledger
from imgsearch.library import Library
from imgsearch.loading import FailedFile, Parts
from imgsearch.objects import ObjectStore
from imgsearch.types import Vector

_CHUNK: Final = 64  # images that are read at once, and at most embedded at once
_SHORT: Final = 16  # while somebody searches, who waits for the cores that long
_CHUNK_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Underway:
    """Images that are being written, and when done what was."""

    read: Sequence[Read]
    written: Future[Written]


class Adding:
    """Adds images to one collection. `step` is called after each step of the order above.

    Of items that get the same row the first counts, and the others share its outcome. With
    `traffic` it gives way to searches, and indexes each `soon` images while they come.
    """

    def __init__(
        self,
        library: Library,
        catalog: Catalog,
        originals: ObjectStore | None,
        *,
        step: Callable[[str], None],
        cancelled: Callable[[], bool],
        on_stages: Callable[[Stages], None],
        on_failure: Callable[[FailedFile], None],
        traffic: Traffic | None = None,
        soon: float = inf,
    ) -> None:
        self._library, self._catalog = library, catalog
        self._stored = originals is not None
        self._writing = Writing(library, catalog, originals, step=step)
        self._cancelled, self._traffic, self._soon = cancelled, traffic, soon
        self._counter = StageCounter(on_stages=on_stages, on_failure=on_failure)
        self._ledger = Ledger(self._counter, self._path)
        self._taken = 0
        self._entries: dict[str, Entry] = {}

    def run(self, items: Iterable[Incoming], *, found: int = 0, index: bool = False) -> Added:
        """Add `items`; one that fails is a line of the outcome. `index` few of them at once, too.

        Raises:
            EncoderError: the encoder cannot be built, or is not the collection's.
            BackendError, CatalogError, ObjectStoreError: a store failed; what was underway is
                pending, and `repair` finishes it.
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
        """Have the store index what it does not yet, if that is at least so many images."""
        waiting = self._counter.stages.inserted - self._counter.stages.indexed
        if waiting >= least:
            self._library.collection.flush()
            self._counter.add(indexed=waiting)

    def _parts(self, items: Iterable[Incoming]) -> Iterator[Sequence[Read]]:
        """Yield images that are to be added: few at first, so that a killed job gets on."""
        parts = Parts(largest=_CHUNK)
        for chunk in self._chunks(items):
            for part in parts.of(self._unknown(chunk)):
                yield part
                if self._cancelled():
                    return

    def _chunks(self, items: Iterable[Incoming]) -> Iterator[list[Read]]:
        """Read images, some at a time."""
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
                    read.append(Read.of(item, self._library, stored=self._stored))
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
        by_key = {each.candidate.id: each for each in reversed(read)}
        firsts, labelled = self._ledger.firsts([each.candidate for each in read])
        self._relabel({by_key[file.id].entry.id: file.label or "" for file in labelled})
        first = [by_key[file.id] for file in firsts]
        known = self._catalog.find([each.entry.id for each in first])
        fresh: list[Read] = []
        for each in first:
            entry = known.get(each.entry.id)
            if entry is not None and not _same(entry, each.entry):
                error = ImageExists(f"the id {entry.id!r} is another image's")
                self._settle(each, FailedFile.of(each.entry.name, error))
            elif entry is None or entry.state != "ready":
                fresh.append(each)
            else:
                self._entries[entry.id] = entry
                self._follow(each, entry)
                self._settle(each)
        return fresh

    def _follow(self, read: Read, entry: Entry) -> None:
        """Count an image that is there, and write the label that is stated for it.

        A folder's name is the same as when the image was added; a label that was changed by hand
        since is kept.
        """
        stated, old = read.stated, entry.label
        by_hand = entry.source == "folder" and composed(old) != stated
        if stated is None or stated == old or by_hand:
            self._counter.count("skipped")
        else:
            self._relabel({entry.id: stated})

    def _relabel(self, labels: Mapping[str, str]) -> None:
        """Write labels by the ids of rows, and count each image."""
        for id_, label in labels.items():
            try:
                (self._entries[id_],) = relabel(self._library, self._catalog, {id_: label})
            except (ConfigError, ImageBusy, ImageNotFound) as error:
                known = self._entries.get(id_)
                name = id_ if known is None else known.place or known.name
                self._counter.failed(FailedFile.of(name, error))
            else:
                self._counter.count("updated")

    def _embedded(self, read: Sequence[Read]) -> tuple[dict[str, Vector], list[Read]]:
        """Return vectors by content, and what can be added; contents with a vector need none."""
        there = known_vectors(self._library, [each.entry.content for each in read])
        new = {each.entry.content: each for each in read if each.entry.content not in there}
        vectors, failed = vectors_of_images(
            self._library, list(new.values()), one_core=self._giving_way
        )
        well = []
        for each in read:
            if each.entry.content in failed:
                path = each.entry.place or each.entry.name
                self._settle(each, replace(failed[each.entry.content], path=path))
            else:
                well.append(each)
        decoded = sum(line.stage == "embed" for line in failed.values()) + len(well)
        self._counter.add(decoded=decoded, embedded=len(well))
        return vectors, well

    def _start(
        self, writer: Executor, read: Sequence[Read], vectors: Mapping[str, Vector]
    ) -> _Underway:
        return _Underway(read, writer.submit(self._writing.write, read, vectors))

    def _finish(self, underway: _Underway | None) -> None:
        """Wait until images are written, and count them and what repeats them."""
        if underway is None:
            return
        outcome = underway.written.result()
        ids = [each.entry.id for each in underway.read if each.entry.id not in outcome.failures]
        self._entries |= self._catalog.find(ids)
        for each in underway.read:
            self._correct(each)
        new = len(outcome.new)
        # another writer of the same image, at the same time, counts it as its own
        self._counter.add(inserted=new, searchable=new, skipped=len(ids) - new)
        for each in underway.read:
            self._settle(each, outcome.failures.get(each.entry.id))

    def _correct(self, read: Read) -> None:
        """Write the stated label of a row that an addition before left half done."""
        entry = self._entries.get(read.entry.id)
        if entry is not None and read.stated not in (None, entry.label):
            with suppress(ImageBusy, ImageNotFound):
                relabel(self._library, self._catalog, {entry.id: read.stated or ""})

    def _settle(self, read: Read, failure: FailedFile | None = None) -> None:
        """Note an image's outcome, which those that repeat it share."""
        if failure is not None:
            self._counter.failed(failure)
        for file in self._ledger.settle(read.candidate, failure):
            self._relabel({read.entry.id: file.label or ""})

    def _path(self, key: str) -> str:
        """Return the place or name of an image of this addition, by its key."""
        entries = self._entries.values()
        return next((entry.place or entry.name for entry in entries if Read.key(entry) == key), "?")


def _same(one: Entry, other: Entry) -> bool:
    return (one.content, one.collection) == (other.content, other.collection)
