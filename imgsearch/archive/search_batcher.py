"""Combines searches from several threads into one call of the store.

In the embedded store the fixed cost of a call far exceeds the cost of one query: each call checks
every row while it holds the GIL, and calls run one at a time. If the store is busy, queries wait,
and one waiting thread sends them in one call. If the store is idle, a query runs at once.
"""

import threading
from collections import defaultdict, deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from imgsearch.backends import Collection
from imgsearch.backends.checks import check_vectors
from imgsearch.types import Hit, Vector

_MOST: Final = 64  # the most queries in a call


@dataclass(slots=True)
class _Query:
    """A waiting query. Its outcome is the hits, or None if its thread must run the next call."""

    vector: Vector
    outcome: Future[list[Hit] | None] = field(default_factory=Future)


class SearchBatcher:
    """Searches with at most `calls` concurrent calls for equal options. Thread-safe."""

    def __init__(self, *, calls: int = 1) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._underway: dict[object, int] = {}
        self._waiting: defaultdict[object, deque[_Query]] = defaultdict(deque)

    def search(self, collection: Collection, vector: Vector, **options: Any) -> list[Hit]:
        """Return the hits for a vector, float32 (d,). `options` are as for `Collection.search`.

        Raises: as for `Collection.search`.
        """
        check_vectors(
            collection.schema, vector[None]
        )  # so that an invalid vector does not fail other queries
        # repr, because filters for 1 and True are equal
        key = (collection, repr(sorted(options.items(), key=lambda item: item[0])))
        query = _Query(vector)
        if self._waits(key, query) and (hits := query.outcome.result()) is not None:
            return hits
        others = self._take_waiting(key)
        try:
            vectors = np.stack([vector, *(other.vector for other in others)])
            results = collection.search(vectors, **options)
        except BaseException as error:
            for other in others:
                other.outcome.set_exception(error)
            raise
        else:
            for other, hits in zip(others, results[1:], strict=True):
                other.outcome.set_result(hits)
            return results[0]
        finally:
            self._start_next(key)

    def _waits(self, key: object, query: _Query) -> bool:
        """Queue the query if too many calls are running. Returns whether it was queued."""
        with self._lock:
            underway = self._underway.get(key, 0)
            if underway < self._calls:
                self._underway[key] = underway + 1
                return False
            self._waiting[key].append(query)
            return True

    def _take_waiting(self, key: object) -> list[_Query]:
        """Remove as many waiting queries as fit in a call from the queue, and return them."""
        with self._lock:
            waiting = self._waiting[key]
            return [waiting.popleft() for _ in range(min(len(waiting), _MOST - 1))]

    def _start_next(self, key: object) -> None:
        """Let the thread of the next waiting query run a call, if a query is waiting."""
        with self._lock:
            waiting = self._waiting[key]
            following = waiting.popleft() if waiting else None
            if following is None:
                self._underway[key] -= 1
                if not self._underway[key]:
                    del self._underway[key], self._waiting[key]
        if following is not None:
            following.outcome.set_result(None)
