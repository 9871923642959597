"""Copies a collection into another store. The copy is resumable and verified."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from time import monotonic
from typing import Final

import numpy as np

from imgsearch.backends import Collection, Index, Metric, VectorBackend, notes, versions
from imgsearch.errors import BackendError, ConfigError, EncoderMismatch
from imgsearch.library.duplicate_memory import DuplicateMemory
from imgsearch.text import counted
from imgsearch.types import Record

BATCH: Final = 500  # records held at once: 4 MB at 2,048 dimensions
SAMPLED: Final = 100  # vectors compared at the end
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
    source: VectorBackend,
    target: VectorBackend,
    collection: str,
    *,
    name: str | None = None,
    index: str | None = None,
    metric: Metric | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Transfer:
    """Copy `collection` from `source` to `target`, under `name` if given.

    A missing collection is created with the source's schema and encoder, and with `index` and
    `metric` if given. Records that exist with the same fields are not written again, so an
    interrupted copy can be re-run. Notes, such as thresholds, are copied unless the target has its
    own, and so is what de-duplication remembers, such as pairs that are kept apart. One batch is
    held in memory. `on_progress` is called with the number of records done and the total.

    Raises:
        ConfigError: source and target are the same collection.
        CollectionNotFound: the source has no such collection.
        SchemaMismatch: the target's collection has another schema, or another program created it.
        EncoderMismatch: the target's collection records an encoder, and the source's does not.
        BackendError: a store failed, or the copy differs from the source.
    """
    name = name or collection
    if source.url == target.url and name == collection:
        raise ConfigError(
            f"cannot copy collection {name!r} of {source.url} onto itself. Give another name."
        )
    origin = versions.open_named(source, collection)
    schema = origin.schema
    wanted = replace(
        schema,
        index=Index.parse(index) if index else schema.index,
        metric=metric or schema.metric,
    )
    into = versions.create(target, name, wanted)
    if schema.encoder is None and into.schema.encoder is not None:
        raise EncoderMismatch(
            f"cannot copy into {name!r}, which holds vectors of {into.schema.encoder.model!r}: "
            f"collection {collection!r} of {source.url} does not say which encoder made its "
            "vectors. Choose another name for the copy."
        )
    started, total = monotonic(), origin.count()
    copied = skipped = 0
    sample = _Sample()
    for batch in _batches(origin.iterate(batch=BATCH)):
        known = into.get([record.id for record in batch])
        new = [record for record in batch if not _same(record, known.get(record.id))]
        into.upsert(new)
        sample.offer(record.id for record in batch)
        copied, skipped = copied + len(new), skipped + len(batch) - len(new)
        if on_progress:
            on_progress(copied + skipped, total)
    into.flush()
    doubled = _count_doubled(origin, min(total, origin.count()), copied + skipped)
    _verify(origin, into, sample.ids, copied + skipped)
    if on_progress:
        on_progress(copied + skipped, copied + skipped)
    notes.carry(source, origin, target, into)
    if schema.encoder is not None:
        DuplicateMemory(target, into).take(DuplicateMemory(source, origin))
    return Transfer(copied, skipped, len(sample.ids), monotonic() - started, doubled)


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


def _verify(source: Collection, into: Collection, ids: list[str], number: int) -> None:
    """Check the number of copied records, and compare the sampled records.

    Raises:
        BackendError: records are missing from the copy, or a sampled record differs.
    """
    if into.count() < number:
        raise BackendError(
            f"the copy is incomplete: {counted(number, 'record was', 'records were')} copied, but "
            f"{into.name!r} holds {into.count():,}. Copy again."
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
