"""How images get into an archive, so that a crash at any moment loses and leaves nothing.

The order is: original → catalogue (pending) → vector → catalogue (ready). Nothing is written for
what cannot be decoded, since it is embedded first. What a crash leaves is either an original that
no row names, or a pending row; `repair` takes away the one and finishes the other.

A deletion of the same content may run meanwhile. It is decided within one transaction of the
catalogue, as is a pending row; so once that row is there, what the content needs stays, and what
was taken away just before is put back.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import islice
from math import inf
from typing import Final

from imgsearch import sources
from imgsearch.archive.incoming import Incoming
from imgsearch.archive.libraries import WORTH_AN_INDEX
from imgsearch.archive.outcomes import Added, Stages
from imgsearch.archive.reading import Read, media_type, record
from imgsearch.archive.traffic import Traffic
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    FieldInvalid,
    ImageBusy,
    ImageExists,
    ImgSearchError,
    VectorInvalid,
)
from imgsearch.library import Library
from imgsearch.loader import vectors_of
from imgsearch.loading import FailedFile
from imgsearch.objects import ObjectStore
from imgsearch.threads import DaemonPool
from imgsearch.types import Vector

_CHUNK: Final = 64  # images; what progress moves by
_SHORT: Final = 16  # while somebody searches, who waits for the cores that long
_CHUNK_BYTES: Final = 64 * 2**20
_PATIENCE: Final = 10.0  # seconds that a deletion of the same content may take
_KEPT: Final = 1_000  # failures that the outcome keeps; all are counted and told
_PUTS: Final = 4  # originals written side by side


class Adding:
    """Adds images to one collection. `step` is called after each step of the order above.

    With `traffic` it gives way to searches, and indexes each `soon` images while they come.
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
        self._library, self._catalog, self._originals = library, catalog, originals
        self._step, self._cancelled = step, cancelled
        self._on_stages, self._on_failure = on_stages, on_failure
        self._traffic, self._soon = traffic, soon
        self._stages, self._failures = Stages(), list[FailedFile]()
        self._entries: list[Entry] = []

    def run(self, items: Iterable[Incoming], *, found: int = 0, index: bool = False) -> Added:
        """Add `items`; one that fails is a line of the outcome. `index` few of them at once, too.

        Raises:
            EncoderError: the encoder cannot be built, or is not the collection's.
            BackendError, CatalogError, ObjectStoreError: a store failed; what was underway is
                pending, and `repair` finishes it.
        """
        self._stages = Stages(found=found)
        written: Future[None] | None = None
        with DaemonPool(1, "imgsearch-archive") as writer:
            for chunk in self._chunks(items):
                began = time.monotonic()
                vectors, well = self._embedded(chunk)
                if written is not None:
                    written.result()
                written = writer.submit(self._write, well, vectors)
                if self._traffic is not None and self._traffic.busy:
                    written.result()
                    self._index(self._soon)
                    self._traffic.give_way(time.monotonic() - began, self._cancelled)
            if written is not None:
                written.result()
        self._index(1 if index else WORTH_AN_INDEX)
        return Added(tuple(self._entries), self._stages, tuple(self._failures))

    @property
    def _giving_way(self) -> bool:
        return self._traffic is not None and self._traffic.busy

    def _index(self, least: float) -> None:
        """Have the store index what it does not yet, if that is at least so many images."""
        waiting = self._stages.inserted - self._stages.indexed
        if waiting >= least:
            self._library.collection.flush()
            self._tell(indexed=waiting)

    def _chunks(self, items: Iterable[Incoming]) -> Iterator[list[Read]]:
        """Read images that are not there yet, some at a time."""
        waiting = iter(items)
        while not self._cancelled():
            taken = list(islice(waiting, _SHORT if self._giving_way else _CHUNK))
            if not taken:
                return
            more = self._stages.done + len(taken) - self._stages.found
            self._tell(found=max(0, more))
            read, size = [], 0
            for item in taken:
                try:
                    read.append(Read.of(item, self._library, stored=self._originals is not None))
                except ImgSearchError as error:
                    self._fail(item.place or item.name, error)
                    continue
                size += len(read[-1].data)
                if size >= _CHUNK_BYTES:
                    yield self._unknown(read)
                    read, size = [], 0
            yield self._unknown(read)

    def _unknown(self, read: Sequence[Read]) -> list[Read]:
        """Return those whose row is not there and ready."""
        there = self._catalog.find([each.entry.id for each in read])
        fresh = []
        for each in {each.entry.id: each for each in read}.values():
            known = there.get(each.entry.id)
            same = known is not None and _same(known, each.entry)
            if known is not None and same and known.state == "ready":
                self._entries.append(known)
            elif known is not None and not same:
                self._fail(each.entry.name, _exists(each.entry.id))
            else:
                fresh.append(each)
        self._tell(skipped=len(read) - len(fresh) - self._clashes(read, there))
        return fresh

    @staticmethod
    def _clashes(read: Sequence[Read], there: Mapping[str, Entry]) -> int:
        ids = {each.entry.id: each.entry for each in read}
        return sum(not _same(there[id_], entry) for id_, entry in ids.items() if id_ in there)

    def _embedded(self, read: Sequence[Read]) -> tuple[dict[str, Vector], list[Read]]:
        """Return vectors by content, and what can be added; contents with a vector need none."""
        there = self._vectors_there([each.entry.content for each in read])
        new = {each.entry.content: each for each in read if each.entry.content not in there}
        vectors, failed = self._vectors(list(new.values()))
        well = []
        for each in read:
            if each.entry.content in failed:
                self._failed(replace(failed[each.entry.content], path=_told(each.entry)))
            else:
                well.append(each)
        decoded = sum(line.stage == "embed" for line in failed.values()) + len(well)
        self._tell(decoded=decoded, embedded=len(well))
        return vectors, well

    def _vectors(self, read: Sequence[Read]) -> tuple[dict[str, Vector], dict[str, FailedFile]]:
        if not read:
            return {}, {}
        sent = [(each.entry.name, each.data) for each in read]
        made = self._library.embed(sent, one_core=self._giving_way)
        rows, vectors = made.drop_columns("vector").to_pylist(), iter(vectors_of(made))
        well, failed = {}, {}
        for row in rows:
            if row["status"] == "ok":
                well[row["sha256"]] = next(vectors)
            else:
                name, _, reason = row["error"].partition(": ")
                failed[row["sha256"]] = FailedFile(row["source"], row["status"], name, reason)
        return well, failed

    def _vectors_there(self, contents: Sequence[str]) -> set[str]:
        try:
            return set(self._library.collection.get(contents)) if contents else set()
        except CollectionNotFound:
            return set()

    def _write(self, read: Sequence[Read], vectors: Mapping[str, Vector]) -> None:
        """Write in the order that this module is about."""
        if not read:
            return
        self._put(read)
        self._step("original")
        pending = self._begun(read)
        if not pending:
            return
        self._step("pending")
        self._put(pending)  # a deletion may have taken it away before the row was there
        made = dict(vectors)
        missing = {each.entry.content for each in pending} - made.keys()
        lost = missing - self._vectors_there(sorted(missing))
        if lost:
            made |= self._vectors([each for each in pending if each.entry.content in lost])[0]
        bad = self._insert([each.entry for each in pending if each.entry.content in made], made)
        self._step("vector")
        ids = [each.entry.id for each in pending if each.entry.id not in bad]
        new = self._catalog.ready(ids)
        self._catalog.failed({id_: str(error) for id_, error in bad.items()})
        self._step("ready")
        self._entries += self._catalog.find(ids).values()
        # another writer of the same image, at the same time, counts it as its own
        self._tell(inserted=len(new), searchable=len(new), skipped=len(ids) - len(new))

    def _put(self, read: Sequence[Read]) -> None:
        store = self._originals
        if store is None:
            return
        contents = {each.entry.content: each for each in read if each.entry.stored}
        with DaemonPool(_PUTS, "imgsearch-originals") as pool:
            list(
                pool.map(
                    lambda each: store.put(each.entry.content, each.data, media_type(each.entry)),
                    contents.values(),
                )
            )

    def _begun(self, read: Sequence[Read]) -> list[Read]:
        """Make rows pending; what cannot be is a failure."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._catalog.begin([each.entry for each in read])
            except ImageBusy as error:
                if time.monotonic() >= deadline:
                    return self._one_by_one(read, error)
                time.sleep(0.05)
                self._put(read)
            except (ConfigError, ImageExists) as error:  # a label too long, an id of none
                return self._one_by_one(read, error)
            else:
                return list(read)

    def _one_by_one(self, read: Sequence[Read], error: ImgSearchError) -> list[Read]:
        if len(read) == 1:
            self._fail(read[0].entry.name, error)
            return []
        return [well for each in read for well in self._begun([each])]

    def _insert(
        self, entries: Sequence[Entry], vectors: Mapping[str, Vector]
    ) -> dict[str, ImgSearchError]:
        """Write vectors; return the rows that the store refused, and why."""
        first = {entry.content: entry for entry in reversed(entries)}
        records = {each: record(entry, vectors[each]) for each, entry in first.items()}
        try:
            self._library.insert(records.values())
        except (FieldInvalid, VectorInvalid) as error:
            if len(entries) > 1:
                parts = [self._insert([entry], vectors) for entry in entries]
                return {id_: fault for part in parts for id_, fault in part.items()}
            self._fail(entries[0].name, error)
            return {entries[0].id: error}
        return {}

    def _fail(self, name: str, error: ImgSearchError) -> None:
        self._failed(FailedFile.of(sources.printable(name), error))

    def _failed(self, line: FailedFile) -> None:
        if len(self._failures) < _KEPT:
            self._failures.append(line)
        self._on_failure(line)
        self._tell(failed=1)

    def _tell(self, **more: int) -> None:
        self._stages = self._stages.plus(**more)
        self._on_stages(self._stages)


def _same(one: Entry, other: Entry) -> bool:
    return (one.content, one.collection) == (other.content, other.collection)


def _exists(id_: str) -> ImageExists:
    return ImageExists(f"the id {id_!r} is another image's")


def _told(entry: Entry) -> str:
    return entry.place or entry.name
