"""Threads for work that blocks and takes long, of which only so much may wait."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Final, TypeVar

from imgsearch.service.problems import Problem
from imgsearch.threads import DaemonPool

T = TypeVar("T")
_LATE: Final = 30.0  # seconds: half of a request's default deadline; a search takes 0.1
_REPLACED: Final = 4  # times as many late threads as there are others: each may hold 1 GB


class Turns:
    """A semaphore whose holders stop counting when they are late, as one that hangs never leaves.

    A context manager. Thread-safe.
    """

    def __init__(self, most: int, *, late: float = _LATE, replaced: int = _REPLACED) -> None:
        self._most, self._late, self._replaced = most, late, most * replaced
        self._changed = threading.Condition()
        self._begun: dict[int, float] = {}

    def __enter__(self) -> None:
        with self._changed:
            while len(self._begun) - self.late >= self._most:
                self._changed.wait(self._late)
            self._begun[threading.get_ident()] = time.monotonic()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            del self._begun[threading.get_ident()]
            self._changed.notify()

    @property
    def late(self) -> int:
        """How many holders are late, as far as others may take their place."""
        since = time.monotonic() - self._late
        return min(self._replaced, sum(begun <= since for begun in list(self._begun.values())))


class Workers:
    """Runs functions in `threads` threads of its own; `waiting` more wait for their turn.

    So a rush of searches takes neither the threads of cheap requests nor all memory. Another thread
    takes the place of one that is late, 30 s by default, so that work which hangs stops nothing
    else; and none of them keeps the process alive.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        waiting: int,
        late: float = _LATE,
        replaced: int = _REPLACED,
    ) -> None:
        self._pool = DaemonPool(threads, f"imgsearch-{name}")
        self._lock = threading.Lock()
        self._threads, self._waiting, self._late = threads, waiting, late
        self._replaced = threads * replaced
        self._taken = 0
        self._begun: dict[object, float] = {}

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, once it had its turn.

        Given up while it waits, it is never begun; given up later, it goes on in its thread.

        Raises:
            Problem: 503, too many wait already.
        """
        self._replace()
        with self._lock:
            if self._taken - self.late >= self._threads + self._waiting:
                raise Problem(503, "busy", "Too many requests wait already.", retry=1)
            self._taken += 1
        try:
            context = copy_context()
            future: Future[T] = self._pool.submit(lambda: context.run(self._timed, work))
        except RuntimeError as error:  # the pool is closed: the service stops
            self._left(None)
            raise Problem(503, "stopping", "The service is stopping.", retry=5) from error
        future.add_done_callback(self._left)
        outcome = asyncio.wrap_future(future)
        try:
            while not outcome.done():
                await asyncio.wait([outcome], timeout=self._late)
                self._replace()
        finally:
            outcome.cancel()  # only where the request was given up
        return outcome.result()

    @property
    def running(self) -> int:
        """How many run now."""
        return min(self._taken, self._threads + self.late)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return max(0, self._taken - self._threads - self.late)

    @property
    def late(self) -> int:
        """How many run for too long, as far as other threads take their place."""
        since = time.monotonic() - self._late
        return min(self._replaced, sum(begun <= since for begun in list(self._begun.values())))

    def close(self, *, seconds: float = 1.0) -> None:
        """Let what runs end, for `seconds` at most, and drop what waits."""
        self._pool.close(seconds)

    def _timed(self, work: Callable[[], T]) -> T:
        mark = object()
        self._begun[mark] = time.monotonic()
        try:
            return work()
        finally:
            del self._begun[mark]

    def _replace(self) -> None:
        self._pool.resize(self._threads + self.late)

    def _left(self, _future: object) -> None:
        with self._lock:
            self._taken -= 1
