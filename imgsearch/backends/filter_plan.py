"""Divides a filter between a store and imgsearch, and runs imgsearch's part.

The store evaluates a wider filter, and imgsearch the whole one on the fields of the results.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from imgsearch.backends.checks import can_compare
from imgsearch.backends.exact import hit, similarities
from imgsearch.backends.schema import Schema
from imgsearch.filters import And, Filter, Glob, Leaf, Not, Or, leaves, matches
from imgsearch.types import MAX_K, Hit, Matrix, Record, Value

BATCH: Final = 1_000  # records compared at once: 8 MB of vectors with 2,048 dimensions
_LEAST: Final = 100  # hits that are fetched at first
_MORE: Final = 8  # growth factor of the next fetch if there were too few
_FETCHES: Final = 2  # after them, all matching records are read


def weakened(where: Filter, translates: Callable[[Leaf], bool]) -> Filter | None:
    """Return a filter of translatable conditions that every match of `where` meets.

    Returns `where` itself if all its conditions are translatable, and None if none is.
    """
    match where:
        case And(left, right):
            first, second = weakened(left, translates), weakened(right, translates)
            if first is None or second is None:
                return second if first is None else first
            return where if first is left and second is right else And(first, second)
        case Or(left, right):
            first, second = weakened(left, translates), weakened(right, translates)
            if first is None or second is None:
                return None
            return where if first is left and second is right else Or(first, second)
        case Not():
            return where if all(map(translates, leaves(where))) else None
    return _weakened_leaf(where, translates)


def _weakened_leaf(where: Filter, translates: Callable[[Leaf], bool]) -> Filter | None:
    (leaf,) = leaves(where)
    if translates(leaf):
        return where
    if isinstance(leaf, Glob) and leaf.prefix().prefix and translates(leaf.prefix()):
        return leaf.prefix()
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked filter, and the wider filter `native`, which the store evaluates.

    `zeros` are the values of declared fields that a record of another program may lack.
    """

    where: Filter | None
    native: Filter | None
    zeros: Mapping[str, Value]

    @property
    def is_native(self) -> bool:
        """Whether the store evaluates the whole filter."""
        return self.native is self.where

    def accepts(self, fields: Mapping[str, Value]) -> bool:
        """Return whether a record's fields match the whole filter."""
        return self.where is None or matches(self.where, {**self.zeros, **fields})

    def search(
        self,
        queries: Matrix,
        k: int,
        *,
        schema: Schema,
        search: Callable[[Matrix, int], list[list[Hit]]],
        scan: Callable[[], Iterator[Record]],
        read: Callable[[Sequence[str]], dict[str, Record]],
    ) -> list[list[Hit]]:
        """Return at most `k` matching hits for each query (n, d), nearest first.

        `search` takes queries and a limit, and `scan` reads all records without vectors; both use
        `native`. `read` takes ids and returns records with vectors. More hits are fetched once.
        Queries that still have too few are compared with all matching records.
        """
        results: list[list[Hit]] = [[] for _ in queries]
        pending, limit = list(range(len(queries))), min(max(_LEAST, _MORE * k), MAX_K)
        for _ in range(_FETCHES):
            if not pending:
                break
            hits_of = dict(zip(pending, search(queries[pending], limit), strict=True))
            for row, hits in hits_of.items():
                results[row] = [hit for hit in hits if self.accepts(hit.fields)][:k]
            pending = [
                row for row, hits in hits_of.items() if len(results[row]) < k and len(hits) >= limit
            ]
            limit = min(_MORE * limit, MAX_K)
        if pending:
            ids = (record.id for record in scan() if self.accepts(record.fields))
            nearest = _nearest(queries[pending], k, schema, ids, read)
            for row, hits in zip(pending, nearest, strict=True):
                results[row] = hits
        return results


def _nearest(
    queries: Matrix,
    k: int,
    schema: Schema,
    ids: Iterator[str],
    read: Callable[[Sequence[str]], dict[str, Record]],
) -> list[list[Hit]]:
    """Return the nearest `k` of the records `ids` for each query, by exact comparison."""
    nearest: list[list[Hit]] = [[] for _ in queries]
    while part := list(islice(ids, BATCH)):
        records = [record for record in read(part).values() if can_compare(record.vector)]
        if not records:
            continue
        vectors = np.array([record.vector for record in records], np.float32)
        scores = similarities(queries, vectors, np.arange(len(records)), schema.metric)
        for row, values in enumerate(scores):
            hits = [
                hit(schema.metric, float(value), record.id, record.fields, dim=schema.dim)
                for record, value in zip(records, values, strict=True)
            ]
            nearest[row] = sorted([*nearest[row], *hits], key=lambda it: -it.score)[:k]
    return nearest
