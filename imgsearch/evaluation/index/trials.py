"""Trials of indexes on the vectors of one collection, each in a temporary collection.

The original collection is only read. Some of its records, drawn with a seed, are the queries. Every
trial leaves them out, so no query finds itself.
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
from imgsearch.backends.read_only import ReadOnlyBackend
from imgsearch.errors import BackendError, CollectionNotFound, ConfigError, StoreReadOnly
from imgsearch.evaluation.index.candidates import Candidate, memory_estimate
from imgsearch.evaluation.index.recall import Truth, ann_recall, distances
from imgsearch.evaluation.metrics import interval
from imgsearch.types import Hit, Matrix, Record

SEED: Final = 2026  # for drawing the queries and resampling the intervals
PREFIX: Final = "tune_"  # begins the name of each trial collection
_BATCH: Final = 500  # records held at once: 4 MB at 2,048 dimensions
_WARM_UP: Final = 20  # untimed queries, which open connections and fill caches

OnProgress = Callable[[str, int, int], None]
"""Called with the stage, the number of steps done, and the total."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one index, searched with one effort.

    `recall` is the mean `ann_recall@k`; `low` and `high` are its 95 % bootstrap interval over the
    queries. `p50`, `p95` and `p99` are milliseconds per query, for queries sent one at a time.
    `write` is the time for writing the rows, and `build` the time from then until all rows are
    indexed, in seconds; if a store indexes while it writes, `write` includes part of the build.
    `memory` is an estimate in bytes, and `bytes_per_vector` its share for one vector. `disk` is the
    growth of an embedded store's folder in bytes, or None for other stores. `indexed` is the number
    of indexed rows that the store reports. `exact` means that the index compares all rows. `short`
    is the number of queries with too few hits.
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
    bytes_per_vector: float = 0.0


class Trials:
    """Runs trials of indexes with the same queries and their exact neighbors.

    `truth.rows` is the number of searched records. Memory holds one batch of records, the queries,
    and one distance per hit.
    """

    def __init__(
        self,
        origin: Collection,
        store: VectorBackend,
        *,
        number: int,
        k: int,
        seed: int,
        report: OnProgress,
    ) -> None:
        self._origin, self._store, self._k, self._report = origin, store, k, report
        queries = origin.get(_draw_ids(origin, number, seed), vectors=True)
        self._left_out = frozenset(queries)
        queries = {id_: record for id_, record in queries.items() if can_compare(record.vector)}
        if not queries:
            raise ConfigError(
                f"cannot tune collection {origin.name!r}: no vector among its queries is comparable"
            )
        self._queries = _matrix(queries.values())
        self._known: list[dict[str, float]] = [{} for _ in queries]  # exact distances by id
        self._total = origin.count() - len(self._left_out)
        # another program's fields may have names and values that a trial cannot hold
        self._fields = {} if origin.foreign else origin.schema.fields
        self.truth = Truth(self._queries, k=k, metric=origin.schema.metric)
        for batch in self._batches("exact search"):
            self.truth.add(_matrix(batch))

    def run(self, candidate: Candidate) -> list[Measurement]:
        """Measure an index with each of its efforts, in a temporary collection."""
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
            memory = memory_estimate(candidate.index, rows=self.truth.rows, dim=schema.dim)
            measurements = []
            for done, effort in enumerate(candidate.efforts, 1):
                results, times = self._search(trial, effort)
                exact = [self._exact_distances(query, hits) for query, hits in enumerate(results)]
                shares = ann_recall(exact, self.truth)
                low, high = interval(shares, rng=SEED)
                p50, p95, p99 = map(float, np.percentile(times, (50, 95, 99)))
                measurements.append(
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
                        memory=memory,
                        disk=disk,
                        indexed=indexed,
                        exact=candidate.index.kind == "flat",
                        short=sum(len(hits) < self.truth.wanted for hits in results),
                        bytes_per_vector=round(memory / self.truth.rows, 1),
                    )
                )
                self._report(f"searching {candidate.index}", done, len(candidate.efforts))
            return measurements

    def _search(self, trial: Collection, effort: int | None) -> tuple[list[list[Hit]], list[float]]:
        """Search for one query at a time; return the hits and the milliseconds of each search."""
        for query in self._queries[:_WARM_UP]:
            trial.search(query[None], k=self._k, effort=effort)
        results, times = [], []
        for query in self._queries:
            started = monotonic()
            results += trial.search(query[None], k=self._k, effort=effort)
            times.append(1_000 * (monotonic() - started))
        return results, times

    def _exact_distances(self, query: int, hits: Sequence[Hit]) -> dict[str, float]:
        """Return the distance of each of a query's hits, by id, from the original vectors."""
        known, vector = self._known[query], self._queries[query : query + 1]
        new = [hit.id for hit in hits if hit.id not in known and hit.id not in self._left_out]
        if new:
            records = self._origin.get(new, vectors=True)
            if records:
                computed = distances(vector, _matrix(records.values()), self.truth.metric)[0]
                known.update(zip(records, map(float, computed), strict=True))
        return {hit.id: known.get(hit.id, float("inf")) for hit in hits}

    def _batches(self, stage: str) -> Iterator[list[Record]]:
        """Yield all records except the queries, in batches."""
        done = 0
        stream = (
            replace(record, fields={}) if self._origin.foreign else record
            for record in self._origin.iterate()
            if record.id not in self._left_out and can_compare(record.vector)
        )
        while batch := list(islice(stream, _BATCH)):
            yield batch
            done += len(batch)
            self._report(stage, done, max(done, self._total))
        self._report(stage, done, done)  # the store's count may differ from its number of records

    def _check(self, trial: Collection) -> None:
        """Check that the trial has as many rows as the exact search had.

        Raises:
            BackendError: the numbers of rows differ.
        """
        if (rows := trial.count()) != self.truth.rows:
            raise BackendError(
                f"collection {self._origin.name!r} had {self.truth.rows} records to search, and "
                f"now {rows}. Tune it again when no program writes to it."
            )


@contextmanager
def _trial(store: VectorBackend, schema: Schema) -> Iterator[Collection]:
    """Yield a new collection with a unique name, and drop it afterwards.

    Raises:
        BackendError: the collection could not be dropped; the message names it.
    """
    name = f"{PREFIX}{uuid4().hex}"
    if isinstance(store, ReadOnlyBackend):
        raise StoreReadOnly(
            f"{store.url} is read-only, and trial collections need a store that can be written. "
            "Name one: --in milvus://HOST:19530 (into=)."
        )
    try:
        yield store.create(name, schema)
    finally:
        try:
            with suppress(CollectionNotFound):  # it was never created
                store.drop(name)
        except BackendError as error:
            raise BackendError(
                f"cannot drop the trial collection {name!r} of {store.url}: {error}. Drop it later."
            ) from error


def _draw_ids(origin: Collection, number: int, seed: int) -> list[str]:
    """Draw `number` ids. They depend on the seed and the records, but not on the record order."""
    key = seed.to_bytes(16, "big", signed=True)

    def rank(id_: str) -> bytes:
        return hashlib.blake2b(id_.encode(), key=key, digest_size=16).digest()

    return heapq.nsmallest(
        number, (record.id for record in origin.iterate(vectors=False)), key=rank
    )


def _matrix(records: Iterable[Record]) -> Matrix:
    """Return the vectors of records, shape (n, d)."""
    return np.stack([record.vector for record in records if record.vector is not None])


def _size(url: str) -> int | None:
    """Return the size of an embedded store's folder in bytes. Returns None for other stores."""
    scheme, _, folder = url.partition("://")
    if scheme != "milvus-lite":
        return None
    total = 0
    for path in Path(folder).rglob("*"):
        with suppress(FileNotFoundError):  # Milvus Lite merges its files in a background thread
            total += path.stat().st_size
    return total
