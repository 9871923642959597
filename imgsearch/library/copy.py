"""Copies a collection into another store. The copy is resumable and verified."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from time import monotonic
from typing import Final

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
from imgsearch.backends.read_only import ReadOnlyBackend
from imgsearch.backends.vectors.files import JobFiles
from imgsearch.backends.vectors.store import Backend as Job
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    EncoderMismatch,
    SchemaMismatch,
)
from imgsearch.library.bulk_copy import BulkCopy, BulkOptions
from imgsearch.library.copy_check import (
    IdSample,
    check_count,
    check_sample,
    count_doubled,
    same_fields,
)
from imgsearch.library.duplicate_memory import DuplicateMemory
from imgsearch.threads import DaemonPool
from imgsearch.types import Record

BATCH: Final = 500  # records held at once: 4 MB at 2,048 dimensions
SAMPLED: Final = 100  # vectors compared at the end
MAX_WRITERS: Final = 64  # threads


@dataclass(frozen=True, slots=True)
class Transfer:
    """The result of a copy: the number of records written, records skipped and vectors compared.

    `skipped` counts records that existed before. `doubled` counts rows of the source that repeat an
    id; they are not copied. `recall` is the share of exact neighbors that searches of the copy
    found after a bulk import: ann_recall@10.
    """

    copied: int
    skipped: int
    compared: int
    seconds: float
    doubled: int = 0
    recall: float | None = None


def copy(
    source: str | PathLike[str] | VectorBackend,
    target: str | PathLike[str] | VectorBackend,
    collection: str = "images",
    *,
    name: str | None = None,
    alias: str | None = None,
    index: str | None = None,
    metric: Metric | None = None,
    partition: str | None = None,
    writers: int = 1,
    bulk: bool = False,
    bucket: str | PathLike[str] | None = None,
    bucket_token: str | None = None,
    min_recall: float = 0.9,
    on_progress: Callable[[int, int], None] | None = None,
) -> Transfer:
    """Copy `collection` from `source` to `target`, under `name` if given.

    A store is a URL, or open; a server that needs a token is passed open:
    ``imgsearch.connect(URL, token=…)``. A missing collection is created with the source's schema
    and encoder, and with `index`, `metric` and `partition` (see `imgsearch.open`) if given; a store
    without partitions gets none. Records that exist with the same fields are
    not written again, so an interrupted copy can be re-run. Notes, such as thresholds, are copied
    unless the target has its own, and so is what de-duplication remembers, such as pairs that are
    kept apart. `on_progress` is called with the number of records done and the total.

    With `alias` the copy is a new collection, and readers of the name `alias` change over once it
    is complete and verified. The collection that they used before is kept; see
    `Library.drop_former`. `writers` is the number of threads that write, 1 to 64; each holds two
    batches of 500 records. The store builds its index at the end if it can.

    With `bulk` a Milvus server imports the files of a job by itself, into a new collection. It
    reads them where they are, or from `bucket`, a folder or ``s3://…``, where they are put first;
    `bucket_token` is ``KEY:SECRET`` of S3. The copy is compared with the job by count, by 1,000
    records, and by 200 searches, of which at least `min_recall` of the exact neighbors must be
    found. Other stores are filled as without `bulk`. docs/bulk.md has the details.

    >>> with imgsearch.connect("memory://a") as a, imgsearch.connect("memory://b") as b:
    ...     images = a.create("images", imgsearch.backends.Schema(2))
    ...     images.upsert([imgsearch.Record("1", [0.6, 0.8])])
    ...     imgsearch.copy(a, b).copied
    1

    Raises:
        ConfigError: source and target are the same collection, an option is out of range, both
            `name` and `alias` are given, or a bulk import is impossible.
        CollectionNotFound: the source has no such collection.
        SchemaMismatch: the target's collection has another schema, or another program created it.
        EncoderMismatch: the target's collection records an encoder, and the source's does not.
        BackendError: a store failed, or the copy differs from the source.
    """
    if not 1 <= writers <= MAX_WRITERS:
        raise ConfigError(f"writers must be in 1 to {MAX_WRITERS}, not {writers}")
    if not 0 <= min_recall <= 1:
        raise ConfigError(f"min_recall must be in 0 to 1, not {min_recall}")
    if name and alias:
        raise ConfigError("a copy has a name or an alias. Pass one of them.")
    with ExitStack() as stack:
        origin, into = (
            store if isinstance(store, VectorBackend) else stack.enter_context(connect(store))
            for store in (source, target)
        )
        task = _Copy(origin, into, collection, name, alias, on_progress)
        schema = replace(
            task.origin.schema,
            index=Index.parse(index) if index else task.origin.schema.index,
            metric=metric or task.origin.schema.metric,
            partition=_partition(task, partition),
        )
        if bulk and task.target.capabilities.imports:
            place = None if bucket is None else JobFiles(str(bucket), token=bucket_token)
            return task.import_files(schema, BulkOptions(place, min_recall))
        return task.write_records(schema, writers)


def _partition(task: "_Copy", name: str | None) -> str:
    """Return the partition field that is given, or the source's where the target has partitions."""
    if name is not None:
        return name
    return task.origin.schema.partition if task.target.capabilities.partitions else ""


class _Copy:
    """A copy between two open stores, to a name or to a new version of an alias."""

    def __init__(
        self,
        source: VectorBackend,
        target: VectorBackend,
        collection: str,
        name: str | None,
        alias: str | None,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.started = monotonic()
        self.source, self.target = source, target
        if isinstance(source, ReadOnlyBackend) and collection not in source.names():
            (only,) = source.names()  # a file and a job have one collection, whose copy is named
            name, collection = (None if alias else name or collection), only
        self.name, self.alias = name or alias or collection, alias
        if source.url == target.url and self.name == collection:
            raise ConfigError(
                f"cannot copy collection {collection!r} of {source.url} onto itself. Give another "
                "name."
            )
        self.origin = versions.open_named(source, collection)
        self._on_progress = on_progress

    def write_records(self, schema: Schema, writers: int) -> Transfer:
        """Write the records that the copy lacks."""
        tally = _Tally(self.origin.count(), self._on_progress)
        if self.alias and _is_copy(self.origin, _current(self.target, self.alias, schema)):
            tally.count(0, tally.total)
        else:
            into = _destination(self.origin, self.target, self.name, schema, fresh=bool(self.alias))
            _fill(self.origin, into, tally, writers)
            check_count(into, tally.done, exact=bool(self.alias))
            check_sample(self.origin, into, tally.sample.ids)
            self._carry(into)
            if self.alias:
                versions.switch(self.target, self.alias, settled=True)
        if self.alias:
            versions.publish(self.target, self.alias)
        tally.finish()
        seconds, compared = monotonic() - self.started, len(tally.sample.ids)
        return Transfer(tally.copied, tally.skipped, compared, seconds, tally.doubled)

    def import_files(self, schema: Schema, options: BulkOptions) -> Transfer:
        """Let the target import the files of a job.

        Raises:
            ConfigError: the source is not a job, or the store cannot import its vectors.
        """
        if not isinstance(self.source, Job):
            raise ConfigError(
                f"{self.source.url} cannot be imported in bulk: only a job of `imgsearch embed` "
                "has files that a store imports. Copy without a bulk import."
            )
        if schema.is_binary:
            raise ConfigError("bits cannot be imported in bulk. Copy without a bulk import.")
        task = BulkCopy(
            self.origin,
            self.source.folder,
            self.target,
            self.name,
            schema,
            versioned=bool(self.alias),
            options=options,
            on_progress=self._on_progress or (lambda _done, _total: None),
        )
        done = task.run()
        if done.imported or done.compared:
            self._carry(done.collection)
        task.finish()
        if self.alias:
            versions.publish(self.target, self.alias)
        return Transfer(
            done.imported,
            done.known,
            done.compared,
            monotonic() - self.started,
            done.doubled,
            done.recall if done.compared else None,
        )

    def _carry(self, into: Collection) -> None:
        """Copy notes, and the memory of de-duplication."""
        notes.carry(self.source, self.origin, self.target, into)
        if self.origin.schema.encoder is not None:
            DuplicateMemory(self.target, into).take(DuplicateMemory(self.source, self.origin))


class _Tally:
    """Counts the records of a copy, and samples their ids."""

    def __init__(self, total: int, on_progress: Callable[[int, int], None] | None) -> None:
        self.total, self.copied, self.skipped, self.doubled = total, 0, 0, 0
        self.sample = IdSample(SAMPLED)
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
        same_fields(record, known.get(record.id))
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
    tally.doubled = count_doubled(source, min(tally.total, source.count()), tally.done)


def _written(
    source: Collection, into: Collection, tally: _Tally, writers: int
) -> Generator[tuple[int, int]]:
    """Yield the numbers of written and skipped records of each batch."""

    def write(batch: list[Record]) -> tuple[int, int]:
        known = into.get([record.id for record in batch])
        new = [record for record in batch if not same_fields(record, known.get(record.id))]
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
