"""Threads for blocking work, with a limit on waiting work."""

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
_REPLACED: Final = 4  # late threads that are replaced, for each other thread: each may hold 1 GB


class _Running:
    """The threads that run work, and how many of them are late. Thread-safe."""

    def __init__(self, late: float, most: int) -> None:
        self._late, self._most = late, most
        self._started: dict[int, float] = {}

    def __enter__(self) -> None:
        self._started[threading.get_ident()] = time.monotonic()

    def __exit__(self, *_: object) -> None:
        del self._started[threading.get_ident()]

    def __len__(self) -> int:
        return len(self._started)

    @property
    def late(self) -> int:
        """The number of threads that have run for more than `late` seconds, at most `most`."""
        since = time.monotonic() - self._late
        return min(self._most, sum(start <= since for start in list(self._started.values())))


class Turns:
    """A semaphore that no longer counts late holders, because work that hangs never leaves.

    A context manager. Thread-safe.
    """

    def __init__(self, most: int, *, late: float = _LATE, replaced: int = _REPLACED) -> None:
        self._most, self._wait = most, late
        self._changed = threading.Condition()
        self._running = _Running(late, most * replaced)

    def __enter__(self) -> None:
        with self._changed:
            while len(self._running) - self._running.late >= self._most:
                self._changed.wait(self._wait)
            self._running.__enter__()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._running.__exit__()
            self._changed.notify()

    @property
    def late(self) -> int:
        """The number of late holders, as far as others may take their place."""
        return self._running.late


class Workers:
    """Runs functions in `threads` threads of its own; `waiting` more may wait for a thread.

    A rush of searches therefore takes neither the threads of cheap requests nor all memory. A
    thread that runs for more than `late` seconds is replaced by another one, so that work that
    hangs does not stop the rest. No thread keeps the process alive.
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
        self._taken = 0
        self._running = _Running(late, threads * replaced)

    async def run(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, which runs in a thread.

        If the caller is canceled, work that still waits is dropped; work that runs continues.

        Raises:
            Problem: 503, too many functions wait already.
        """
        self._replace_late()
        with self._lock:
            if self._taken - self.late >= self._threads + self._waiting:
                raise Problem(503, "busy", "Too many requests are waiting.", retry=1)
            self._taken += 1
        try:
            context = copy_context()
            future: Future[T] = self._pool.submit(lambda: context.run(self._timed, work))
        except RuntimeError as error:  # the pool is closed: the service stops
            self._release(None)
            raise Problem(503, "stopping", "The service is stopping.", retry=5) from error
        future.add_done_callback(self._release)
        outcome = asyncio.wrap_future(future)
        try:
            while not outcome.done():
                await asyncio.wait([outcome], timeout=self._late)
                self._replace_late()
        finally:
            outcome.cancel()  # has an effect only if the caller was canceled
        return outcome.result()

    @property
    def running(self) -> int:
        """The number of functions that run."""
        return min(self._taken, self._threads + self.late)

    @property
    def waiting(self) -> int:
        """The number of functions that wait."""
        return max(0, self._taken - self._threads - self.late)

    @property
    def late(self) -> int:
        """The number of late functions, as far as other threads take their place."""
        return self._running.late

    def close(self, *, seconds: float = 1.0) -> None:
        """Wait for running functions for at most `seconds`, and drop waiting ones."""
        self._pool.close(seconds)

    def _timed(self, work: Callable[[], T]) -> T:
        with self._running:
            return work()

    def _replace_late(self) -> None:
        self._pool.resize(self._threads + self.late)

    def _release(self, _future: object) -> None:
        with self._lock:
            self._taken -= 1
