"""Trials of indexes on one collection's vectors, each in a collection of its own.

The collection itself is only read. Some of its records, drawn by a seed, are the queries; they are
left out of every trial, so that none finds itself.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import uuid4

import numpy as np

from imgsearch.backends import Collection, Schema, VectorBackend
from imgsearch.backends.checks import can_compare
from imgsearch.errors import BackendError, CollectionNotFound, ConfigError
from imgsearch.evaluation.index.ann import Truth, ann_recall, distances
from imgsearch.evaluation.index.candidates import Candidate, memory_estimate
from imgsearch.evaluation.metrics import interval
from imgsearch.types import Hit, Matrix, Record

SEED: Final = 2026  # of the choice of queries, and of the intervals' resampling
PREFIX: Final = "tune_"  # of the names of trial collections
_BATCH: Final = 500  # records held at once: of 2,048 dimensions 4 MB
_WARM_UP: Final = 20  # queries before the clock counts: connections, caches

OnProgress = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One index searched with one effort.

    `recall` is the mean `ann_recall@k`, `low` and `high` the ends of its 95 % bootstrap interval
    over the queries. `p50`, `p95`, `p99` are milliseconds a query, one at a time, through the
    library. `write` and `build` are seconds: of writing the rows, and from then on until all of
    them were indexed (a store that indexes while it writes has part of that in `write`). `memory`
    is bytes by formula; `disk` the bytes by which an embedded store's folder grew, None where
    nobody can tell. `indexed`: how many rows a search goes to the index for, by the store's
    account. `exact`: by its kind it misses nothing. `short`: queries that got too few hits.
    """

    index: str
    effort: int | None
    recall: float
    low: float
    high: float
    p50: float
    p95: float
    p99: float
    write: float
    build: float
    memory: int
    disk: int | None
    indexed: int
    exact: bool
    short: int


class Trials:
    """The queries of a collection, their exact neighbours, and trial after trial of an index.

    `truth.rows` is how many records are searched. Memory stays at a batch of records, the queries,
    and a distance for each row that a query ever found.
    """

    def __init__(
        self,
        origin: Collection,
        store: VectorBackend,
        *,
        number: int,
        k: int,
        seed: int,
        tell: OnProgress,
    ) -> None:
        self._origin, self._store, self._k, self._tell = origin, store, k, tell
        drawn = origin.get(_drawn(origin, number, seed), vectors=True)
        self._left_out = frozenset(drawn)
        drawn = {id_: record for id_, record in drawn.items() if can_compare(record.vector)}
        if not drawn:
            raise ConfigError(f"collection {origin.name!r} has no vectors that can be compared")
        self._queries = _matrix(drawn.values())
        self._known: list[dict[str, float]] = [{} for _ in drawn]  # true distances by id
        self._total = origin.count() - len(self._left_out)
        # another program's fields may have names and values that a trial cannot hold
        self._fields = {} if origin.foreign else origin.schema.fields
        self.truth = Truth(self._queries, k=k, metric=origin.schema.metric)
        for batch in self._batches("exact search"):
            self.truth.offer(_matrix(batch))

    def run(self, candidate: Candidate) -> list[Measurement]:
        """Build an index in a trial collection, search it with each effort, and drop it."""
        schema = replace(self._origin.schema, index=candidate.index, fields=self._fields)
        before = _size(self._store.url)
        with _trial(self._store, schema) as trial:
            started = monotonic()
            for batch in self._batches(f"writing {candidate.index}"):
                trial.upsert(batch)
            written = monotonic()
            trial.flush()
            built = monotonic()
            self._check(trial)
            after = _size(self._store.url)
            disk = None if before is None or after is None else after - before
            indexed = trial.settle()
            measured = []
            for place, effort in enumerate(candidate.efforts, 1):
                found, times = self._searched(trial, effort)
                shares = ann_recall([self._true(*each) for each in enumerate(found)], self.truth)
                low, high = interval(shares, rng=SEED)
                p50, p95, p99 = map(float, np.percentile(times, (50, 95, 99)))
                measured.append(
                    Measurement(
                        index=str(candidate.index),
                        effort=effort,
                        recall=float(shares.mean()),
                        low=low,
                        high=high,
                        p50=p50,
                        p95=p95,
                        p99=p99,
                        write=written - started,
                        build=built - written,
                        memory=memory_estimate(
                            candidate.index, rows=self.truth.rows, dim=schema.dim
                        ),
                        disk=disk,
                        indexed=indexed,
                        exact=candidate.index.kind == "flat",
                        short=sum(len(hits) < self.truth.wanted for hits in found),
                    )
                )
                self._tell(f"searching {candidate.index}", place, len(candidate.efforts))
            return measured

    def _searched(
        self, trial: Collection, effort: int | None
    ) -> tuple[list[list[Hit]], list[float]]:
        """Search for each query by itself; return the hits, and the milliseconds each took."""
        for query in self._queries[:_WARM_UP]:
            trial.search(query[None], k=self._k, effort=effort)
        found, times = [], []
        for query in self._queries:
            started = monotonic()
            found += trial.search(query[None], k=self._k, effort=effort)
            times.append(1_000 * (monotonic() - started))
        return found, times

    def _true(self, place: int, hits: Sequence[Hit]) -> dict[str, float]:
        """Return the true distances of a query's hits, out of the source's vectors."""
        known, query = self._known[place], self._queries[place : place + 1]
        new = [hit.id for hit in hits if hit.id not in known and hit.id not in self._left_out]
        if new:
            read = self._origin.get(new, vectors=True)
            if read:
                told = distances(query, _matrix(read.values()), self.truth.metric)[0]
                known.update(zip(read, map(float, told), strict=True))
        return {hit.id: known.get(hit.id, float("inf")) for hit in hits}

    def _batches(self, stage: str) -> Iterator[list[Record]]:
        """Yield the records that are searched, in batches: all except the queries."""
        done = 0
        stream = (
            replace(record, fields={}) if self._origin.foreign else record
            for record in self._origin.iterate()
            if record.id not in self._left_out and can_compare(record.vector)
        )
        while batch := list(islice(stream, _BATCH)):
            yield batch
            done += len(batch)
            self._tell(stage, done, max(done, self._total))
        self._tell(stage, done, done)  # the store's count may differ from its number of records

    def _check(self, trial: Collection) -> None:
        """Refuse a trial that holds other rows than the exact search saw.

        Raises:
            BackendError: as said.
        """
        if (held := trial.count()) != self.truth.rows:
            raise BackendError(
                f"collection {self._origin.name!r} had {self.truth.rows} records to search, and "
                f"now {held}: tune it again when nobody writes to it"
            )


@contextmanager
def _trial(store: VectorBackend, schema: Schema) -> Iterator[Collection]:
    """Lend a new collection of a name that nobody else has, and drop it whatever happens.

    Raises:
        BackendError: it could not be dropped; the message names it.
    """
    name = f"{PREFIX}{uuid4().hex}"
    try:
        yield store.create(name, schema)
    finally:
        try:
            with suppress(CollectionNotFound):  # it was never made
                store.drop(name)
        except BackendError as error:
            raise BackendError(
                f"trial collection {name!r} is left in {store.url}, and can be dropped: {error}"
            ) from error


def _drawn(origin: Collection, number: int, seed: int) -> list[str]:
    """Return `number` ids, the same for the same records and seed in whatever order they come."""
    key = seed.to_bytes(16, "big", signed=True)

    def rank(id_: str) -> bytes:
        return hashlib.blake2b(id_.encode(), key=key, digest_size=16).digest()

    return heapq.nsmallest(
        number, (record.id for record in origin.iterate(vectors=False)), key=rank
    )


def _matrix(records: Iterable[Record]) -> Matrix:
    """Return the vectors of records that were read with them, shape (n, d)."""
    return np.stack([each.vector for each in records if each.vector is not None])


def _size(url: str) -> int | None:
    """Return the bytes in an embedded store's folder, None for other stores."""
    scheme, _, folder = url.partition("://")
    if scheme != "milvus-lite":
        return None
    total = 0
    for path in Path(folder).rglob("*"):
        with suppress(FileNotFoundError):  # lite merges its files in a thread of its own
            total += path.stat().st_size
    return total
