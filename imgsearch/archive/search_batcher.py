"""Searches of several threads at once in one call of the store.

A call costs the embedded store far more than a query in it does: it looks at every row's age anew,
with the interpreter's lock held, and takes one call at a time. So whoever finds it busy waits, and
what waits is searched for together, by one of those who wait. Nobody waits for others to come.
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
class _Ask:
    """A query that waits; its outcome is its hits, or None: its thread is to search for all."""

    vector: Vector
    outcome: Future[list[Hit] | None] = field(default_factory=Future)


class Together:
    """Searches collections; at most `calls` are underway of what is asked alike. Thread-safe."""

    def __init__(self, *, calls: int = 1) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._underway: dict[object, int] = {}
        self._waiting: defaultdict[object, deque[_Ask]] = defaultdict(deque)

    def search(self, collection: Collection, vector: Vector, **told: Any) -> list[Hit]:
        """Return the hits of a vector, float32 (d,), as `Collection.search` does.

        Raises: as that does.
        """
        check_vectors(collection.schema, vector[None])  # what is wrong with it is its own
        # by their words: of filters, those for 1 and for True are equal
        key = (collection, repr(sorted(told.items(), key=lambda item: item[0])))
        mine = _Ask(vector)
        if self._waits(key, mine) and (hits := mine.outcome.result()) is not None:
            return hits
        others = self._others(key)
        try:
            vectors = np.stack([vector, *(ask.vector for ask in others)])
            found = collection.search(vectors, **told)
        except BaseException as error:
            for ask in others:
                ask.outcome.set_exception(error)
            raise
        else:
            for ask, hits in zip(others, found[1:], strict=True):
                ask.outcome.set_result(hits)
            return found[0]
        finally:
            self._pass_on(key)

    def _waits(self, key: object, mine: _Ask) -> bool:
        """Tell whether a query has to wait: else it is underway."""
        with self._lock:
            underway = self._underway.get(key, 0)
            if underway < self._calls:
                self._underway[key] = underway + 1
                return False
            self._waiting[key].append(mine)
            return True

    def _others(self, key: object) -> list[_Ask]:
        """Return those who wait, and do so no longer."""
        with self._lock:
            waiting = self._waiting[key]
            return [waiting.popleft() for _ in range(min(len(waiting), _MOST - 1))]

    def _pass_on(self, key: object) -> None:
        """Have the next of those who wait search, if there is one."""
        with self._lock:
            waiting = self._waiting[key]
            following = waiting.popleft() if waiting else None
            if following is None:
                self._underway[key] -= 1
                if not self._underway[key]:
                    del self._underway[key], self._waiting[key]
        if following is not None:
            following.outcome.set_result(None)
