"""Combines searches of several threads into one call of the store.

A call costs the embedded store far more than a query in it: it checks the age of every row with the
interpreter's lock held, and takes one call at a time. So a thread that finds the store busy waits,
and one of the waiting threads searches for all of them. An idle store is searched at once.
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

_MOST: Final = 64  # queries of one call


@dataclass(slots=True)
class _Query:
    """A waiting query. Its outcome is its hits, or None if its thread has to search for all."""

    vector: Vector
    outcome: Future[list[Hit] | None] = field(default_factory=Future)


class SearchBatcher:
    """Searches collections, with at most `calls` at a time for equal options. Thread-safe."""

    def __init__(self, *, calls: int = 1) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._underway: dict[object, int] = {}
        self._waiting: defaultdict[object, deque[_Query]] = defaultdict(deque)

    def search(self, collection: Collection, vector: Vector, **options: Any) -> list[Hit]:
        """Return the hits of a vector, float32 (d,), with options of `Collection.search`.

        Raises: as for `Collection.search`.
        """
        check_vectors(collection.schema, vector[None])  # so that other queries do not fail by it
        # the repr, because filters for 1 and for True are equal
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
        """Return whether the query has to wait, and queue it then."""
        with self._lock:
            underway = self._underway.get(key, 0)
            if underway < self._calls:
                self._underway[key] = underway + 1
                return False
            self._waiting[key].append(query)
            return True

    def _take_waiting(self, key: object) -> list[_Query]:
        """Remove waiting queries from the queue and return them, as many as a call takes."""
        with self._lock:
            waiting = self._waiting[key]
            return [waiting.popleft() for _ in range(min(len(waiting), _MOST - 1))]

    def _start_next(self, key: object) -> None:
        """Let the thread of the next waiting query search, if there is one."""
        with self._lock:
            waiting = self._waiting[key]
            following = waiting.popleft() if waiting else None
            if following is None:
                self._underway[key] -= 1
                if not self._underway[key]:
                    del self._underway[key], self._waiting[key]
        if following is not None:
            following.outcome.set_result(None)
