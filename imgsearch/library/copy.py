"""Copies a collection into another store. The copy is resumable and verified."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from time import monotonic
from typing import Final

import numpy as np

from imgsearch.backends import (
    Collection,
    Index,
    Metric,
    Schema,
    VectorBackend,
    connect,
    notes,
    versions,
)
from imgsearch.errors import (
    BackendError,
    CollectionNotFound,
    ConfigError,
    EncoderMismatch,
    SchemaMismatch,
)
from imgsearch.library.duplicate_memory import DuplicateMemory
from imgsearch.text import counted
from imgsearch.threads import DaemonPool
from imgsearch.types import Record

BATCH: Final = 500  # records held at once: 4 MB at 2,048 dimensions
SAMPLED: Final = 100  # vectors compared at the end
MAX_WRITERS: Final = 64  # threads
_SEED: Final = 2026  # for sampling these vectors
_TOLERANCE: Final = 2e-5  # times the norm: stores that send decimals keep at least five digits


@dataclass(frozen=True, slots=True)
class Transfer:
    """The result of a copy: the number of records written, records skipped and vectors compared.

    `skipped` counts records that existed before. `doubled` counts rows of the source that repeat an
    id; they are not copied.
    """

    copied: int
    skipped: int
    compared: int
    seconds: float
    doubled: int = 0


def copy(
    source: str | PathLike[str] | VectorBackend,
    target: str | PathLike[str] | VectorBackend,
    collection: str = "images",
    *,
    name: str | None = None,
    alias: str | None = None,
    index: str | None = None,
    metric: Metric | None = None,
    writers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Transfer:
    """Copy `collection` from `source` to `target`, under `name` if given.

    A store is a URL, or open; a server that needs a token is passed open:
    ``imgsearch.connect(URL, token=…)``. A missing collection is created with the source's schema
    and encoder, and with `index` and `metric` if given. Records that exist with the same fields are
    not written again, so an interrupted copy can be re-run. Notes, such as thresholds, are copied
    unless the target has its own, and so is what de-duplication remembers, such as pairs that are
    kept apart. `on_progress` is called with the number of records done and the total.

    With `alias` the copy is a new collection, and readers of the name `alias` change over once it
    is complete and verified. The collection that they used before is kept; see
    `Library.drop_former`. `writers` is the number of threads that write, 1 to 64; each holds two
    batches of 500 records. The store builds its index at the end if it can.

    >>> with imgsearch.connect("memory://a") as a, imgsearch.connect("memory://b") as b:
    ...     images = a.create("images", imgsearch.backends.Schema(2))
    ...     images.upsert([imgsearch.Record("1", [0.6, 0.8])])
    ...     imgsearch.copy(a, b).copied
    1

    Raises:
        ConfigError: source and target are the same collection, `writers` is out of range, or both
            `name` and `alias` are given.
        CollectionNotFound: the source has no such collection.
        SchemaMismatch: the target's collection has another schema, or another program created it.
        EncoderMismatch: the target's collection records an encoder, and the source's does not.
        BackendError: a store failed, or the copy differs from the source.
    """
    if not 1 <= writers <= MAX_WRITERS:
        raise ConfigError(f"writers must be in 1 to {MAX_WRITERS}, not {writers}")
    if name and alias:
        raise ConfigError("a copy has a name or an alias. Pass one of them.")
    started = monotonic()
    with ExitStack() as stack:
        source, target = (
            store if isinstance(store, VectorBackend) else stack.enter_context(connect(store))
            for store in (source, target)
        )
        if source.url == target.url and (alias or name or collection) == collection:
            raise ConfigError(
                f"cannot copy collection {collection!r} of {source.url} onto itself. Give another "
                "name."
            )
        origin = versions.open_named(source, collection)
        schema = replace(
            origin.schema,
            index=Index.parse(index) if index else origin.schema.index,
            metric=metric or origin.schema.metric,
        )
        tally = _Tally(origin.count(), on_progress)
        if alias and _is_copy(origin, _current(target, alias, schema)):
            tally.count(0, tally.total)
        else:
            into = _destination(
                origin, target, name or alias or collection, schema, fresh=bool(alias)
            )
            _fill(origin, into, tally, writers)
            _verify(origin, into, tally, exact=bool(alias))
            notes.carry(source, origin, target, into)
            if schema.encoder is not None:
                DuplicateMemory(target, into).take(DuplicateMemory(source, origin))
            if alias:
                versions.switch(target, alias, settled=True)
        if alias:
            versions.publish(target, alias)
        tally.finish()
    return Transfer(
        tally.copied, tally.skipped, len(tally.sample.ids), monotonic() - started, tally.doubled
    )


class _Sample:
    """A uniform sample of ids from a stream of unknown length.

    Source: Vitter, Random Sampling with a Reservoir, ACM TOMS 11(1), 1985, algorithm R.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._seen = 0
        self._rng = np.random.default_rng(_SEED)

    def offer(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            self._seen += 1
            if len(self.ids) < SAMPLED:
                self.ids.append(id_)
            elif (position := int(self._rng.integers(self._seen))) < SAMPLED:
                self.ids[position] = id_


class _Tally:
    """Counts the records of a copy, and samples their ids."""

    def __init__(self, total: int, on_progress: Callable[[int, int], None] | None) -> None:
        self.total, self.copied, self.skipped, self.doubled = total, 0, 0, 0
        self.sample = _Sample()
        self._on_progress = on_progress

    @property
    def done(self) -> int:
        """The number of records that are in the copy."""
        return self.copied + self.skipped

    def count(self, copied: int, skipped: int) -> None:
        """Count records, and report the progress."""
        self.copied, self.skipped = self.copied + copied, self.skipped + skipped
        self._report(self.total)

    def finish(self) -> None:
        """Report the end; the source's count may differ from its number of records."""
        self._report(self.done)

    def _report(self, total: int) -> None:
        if self._on_progress is not None:
            self._on_progress(self.done, total)


def _current(target: VectorBackend, alias: str, schema: Schema) -> Collection | None:
    """Return the collection that readers of a name use, if it has this schema."""
    try:
        current = versions.open_named(target, alias)
    except CollectionNotFound:
        return None
    return None if current.foreign or current.schema.differences(schema) else current


def _is_copy(source: Collection, into: Collection | None) -> bool:
    """Return whether a collection holds the records of the source, and no others."""
    if into is None or into.count() != source.count():
        return False
    return all(
        _same(record, known.get(record.id))
        for batch in _batches(source.iterate(vectors=False, batch=BATCH))
        for known in [into.get([record.id for record in batch])]
        for record in batch
    )


def _destination(
    source: Collection, target: VectorBackend, name: str, schema: Schema, *, fresh: bool
) -> Collection:
    """Return the collection to be filled. It is new if `fresh`, or from an interrupted copy.

    Raises:
        ConfigError: another copy or a migration of this name is unfinished.
        EncoderMismatch, SchemaMismatch: as for `copy`.
    """
    if fresh:
        try:
            return versions.begin(target, name, schema, fresh=True)
        except SchemaMismatch as error:
            raise ConfigError(
                f"another copy or a migration of {name!r} is unfinished: {error}. Finish it, or "
                "discard it with `imgsearch migrate --discard`."
            ) from error
    into = versions.create(target, name, schema)
    if schema.encoder is None and into.schema.encoder is not None:
        raise EncoderMismatch(
            f"cannot copy into {name!r}, which holds vectors of {into.schema.encoder.model!r}: "
            f"collection {source.name!r} does not say which encoder made its vectors. Choose "
            "another name for the copy."
        )
    return into


def _fill(source: Collection, into: Collection, tally: _Tally, writers: int) -> None:
    """Write the records that the copy lacks."""
    with into.bulk_writes(), closing(_written(source, into, tally, writers)) as results:
        for copied, skipped in results:
            tally.count(copied, skipped)
    into.flush()
    tally.doubled = _count_doubled(source, min(tally.total, source.count()), tally.done)


def _written(
    source: Collection, into: Collection, tally: _Tally, writers: int
) -> Generator[tuple[int, int]]:
    """Yield the numbers of written and skipped records of each batch."""

    def write(batch: list[Record]) -> tuple[int, int]:
        known = into.get([record.id for record in batch])
        new = [record for record in batch if not _same(record, known.get(record.id))]
        into.upsert(new)
        return len(new), len(batch) - len(new)

    def batches() -> Iterator[list[Record]]:
        for batch in _batches(source.iterate(batch=BATCH)):
            tally.sample.offer(record.id for record in batch)
            yield batch

    if writers == 1:
        yield from map(write, batches())
        return
    with DaemonPool(writers, "imgsearch-copy") as pool:
        pending: deque[Future[tuple[int, int]]] = deque()
        try:
            for batch in batches():
                pending.append(pool.submit(write, batch))
                if len(pending) == 2 * writers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.close(drop=True)


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, BATCH)):
        yield batch


def _same(record: Record, other: Record | None) -> bool:
    return other is not None and dict(record.fields) == dict(other.fields)


def _count_doubled(source: Collection, rows: int, read: int) -> int:
    """Return how many rows of the source repeat an id. Returns 0 if all `rows` were read.

    Raises:
        BackendError: rows are missing that do not repeat an id.
    """
    doubled = source.doubled() if read < rows else 0
    if read + doubled < rows:
        raise BackendError(
            f"the copy is incomplete: {read:,} of {rows:,} records of {source.name!r} were read, "
            f"and {doubled:,} rows repeat an id. Copy again."
        )
    return doubled


def _verify(source: Collection, into: Collection, tally: _Tally, *, exact: bool) -> None:
    """Check the number of copied records, and compare the sampled records.

    With `exact` the copy holds no other records.

    Raises:
        BackendError: records are missing from the copy, or a sampled record differs.
    """
    number, ids, held = tally.done, tally.sample.ids, into.count()
    if held < number:
        raise BackendError(
            f"the copy is incomplete: {counted(number, 'record was', 'records were')} copied, but "
            f"{into.name!r} holds {held:,}. Copy again."
        )
    if exact and held > number:
        raise BackendError(
            f"{into.name!r} holds {held:,} records instead of {number:,}, so readers do not change "
            "over. Discard it with `imgsearch migrate --discard`, and copy again."
        )
    originals, copies = (side.get(ids, vectors=True) for side in (source, into))
    for id_ in ids:
        if id_ not in originals:
            continue  # deleted from the source meanwhile
        original, copied = originals[id_], copies.get(id_)
        if copied is None or original.vector is None or copied.vector is None:
            raise BackendError(
                f"the copy is incomplete: {into.name!r} lacks record {id_!r}. Copy again."
            )
        gap = float(np.linalg.norm(original.vector - copied.vector))
        if gap > _TOLERANCE * float(np.linalg.norm(original.vector)) or not _same(original, copied):
            raise BackendError(
                f"record {id_!r} differs in {into.name!r}: its vectors are {gap:.2g} apart. "
                "Check that both collections hold the same images, embedded by the same encoder."
            )
