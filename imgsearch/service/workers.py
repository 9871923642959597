"""Thread pools for blocking work, with a limit on waiting work."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Final, TypeVar

from imgsearch.service.problems import HttpProblem
from imgsearch.threads import DaemonPool

T = TypeVar("T")
_LATE: Final = 30.0  # seconds: half of a request's default deadline; a search takes 0.1
_REPLACED: Final = 4  # replaced late threads per thread of the pool: each may hold 1 GB


class _Running:
    """The threads that currently run work, and the number of late ones. Thread-safe."""

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
    """A semaphore that stops counting late holders, because hanging work never releases it.

    Used as a context manager. Thread-safe.
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
        """The number of late holders that are no longer counted."""
        return self._running.late


class Workers:
    """A pool of `threads` threads; at most `waiting` functions may wait for a thread.

    The separate pool keeps a burst of searches from taking the threads of cheap requests, and the
    limit keeps it from taking all memory. A thread that runs for more than `late` seconds gets a
    replacement, so that hanging work does not block the rest. The threads are daemons.
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
        """Run `work` in a thread and return its result.

        If the caller is canceled, waiting work is dropped and running work continues.

        Raises:
            HttpProblem: 503, too many functions are waiting, or the service is stopping.
        """
        self._replace_late()
        with self._lock:
            if self._taken - self.late >= self._threads + self._waiting:
                raise HttpProblem(503, "busy", "Too many requests are waiting.", retry=1)
            self._taken += 1
        try:
            context = copy_context()
            future: Future[T] = self._pool.submit(lambda: context.run(self._timed, work))
        except RuntimeError as error:  # the pool is closed: the service stops
            self._release(None)
            raise HttpProblem(503, "stopping", "The service is stopping.", retry=5) from error
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
        """The number of running functions."""
        return min(self._taken, self._threads + self.late)

    @property
    def waiting(self) -> int:
        """The number of waiting functions."""
        return max(0, self._taken - self._threads - self.late)

    @property
    def late(self) -> int:
        """The number of late functions whose threads have a replacement."""
        return self._running.late

    def close(self, *, seconds: float = 1.0) -> None:
        """Drop waiting functions, and wait at most `seconds` for running ones."""
        self._pool.close(seconds)

    def _timed(self, work: Callable[[], T]) -> T:
        with self._running:
            return work()

    def _replace_late(self) -> None:
        self._pool.resize(self._threads + self.late)

    def _release(self, _future: object) -> None:
        with self._lock:
            self._taken -= 1
