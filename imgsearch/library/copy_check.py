"""Checks of a copied collection: the number of records, a sample, and the recall of searches."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from imgsearch.backends import Collection
from imgsearch.backends.base import filled
from imgsearch.errors import BackendError
from imgsearch.text import counted
from imgsearch.types import Matrix, Record, Value

K: Final = 10  # neighbors of a query
_SEED: Final = 2026  # for sampling
_TOLERANCE: Final = 2e-5  # times the norm: stores that send decimals keep at least five digits


class IdSample:
    """A uniform sample of ids from a stream of unknown length.

    Source: Vitter, Random Sampling with a Reservoir, ACM TOMS 11(1), 1985, algorithm R.
    """

    def __init__(self, size: int) -> None:
        self.ids: list[str] = []
        self._size, self._seen = size, 0
        self._rng = np.random.default_rng(_SEED)

    def offer(self, ids: Iterable[str]) -> None:
        """Add ids to the stream."""
        for id_ in ids:
            self._seen += 1
            if len(self.ids) < self._size:
                self.ids.append(id_)
            elif (position := int(self._rng.integers(self._seen))) < self._size:
                self.ids[position] = id_


def same_fields(record: Record, other: Record | None) -> bool:
    """Return whether a record exists with the same fields."""
    return other is not None and dict(record.fields) == dict(other.fields)


def count_doubled(source: Collection, rows: int, read: int) -> int:
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


def check_count(into: Collection, number: int, *, exact: bool) -> None:
    """Check the number of copied records. With `exact` the copy holds no others.

    Raises:
        BackendError: the number differs.
    """
    held = into.count()
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


def check_sample(source: Collection, into: Collection, ids: Sequence[str]) -> None:
    """Compare the fields and vectors of records.

    Raises:
        BackendError: a record is missing from the copy, or differs.
    """
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
        same = filled(_without_nulls(original), into.schema) == dict(copied.fields)
        if gap > _TOLERANCE * float(np.linalg.norm(original.vector)) or not same:
            raise BackendError(
                f"record {id_!r} differs in {into.name!r}: its vectors are {gap:.2g} apart. "
                "Check that both collections hold the same images, embedded by the same encoder."
            )


def _without_nulls(record: Record) -> dict[str, Value]:
    """Return the fields of a record; another program's job may have null values."""
    fields: dict[str, Value | None] = dict(record.fields)
    return {name: value for name, value in fields.items() if value is not None}


def ann_recall_of_copy(source: Collection, into: Collection, queries: Matrix) -> float:
    """Return the share of exact neighbors that searches of the copy find: ann_recall@10.

    `source` searches exactly. A row that is as near as the tenth neighbor counts as a neighbor.
    """
    shares = []
    for exact, hits in zip(source.search(queries, k=K), into.search(queries, k=K), strict=True):
        ids, last = {hit.id for hit in exact}, exact[-1].distance
        bound = last + _TOLERANCE * max(1.0, abs(last))
        right = sum(hit.id in ids or hit.distance <= bound for hit in hits)
        shares.append(min(right, len(exact)) / len(exact))
    return float(np.mean(shares))
