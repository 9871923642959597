"""Threads for work that blocks and takes long, of which only so much may wait."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from imgsearch.service.problems import Problem

T = TypeVar("T")


class Workers:
    """Runs functions in `threads` threads of its own; `waiting` more wait for their turn.

    So a rush of searches takes neither the threads of cheap requests nor all memory.
    """

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"imgsearch-{name}")
        self._lock = threading.Lock()
        self._most, self._threads, self._taken = threads + waiting, threads, 0

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, once it had its turn.

        Given up while it waits, it is never begun; given up later, it goes on in its thread.

        Raises:
            Problem: 503, too many wait already.
        """
        with self._lock:
            if self._taken >= self._most:
                raise Problem(503, "busy", "Too many requests wait already.", retry=1)
            self._taken += 1
        try:
            future = self._pool.submit(copy_context().run, work)
        except RuntimeError as error:  # the pool is closed: the service stops
            self._left(None)
            raise Problem(503, "stopping", "The service is stopping.", retry=5) from error
        future.add_done_callback(self._left)
        return await asyncio.wrap_future(future)

    @property
    def running(self) -> int:
        """How many run now."""
        return min(self._taken, self._threads)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return max(0, self._taken - self._threads)

    def close(self) -> None:
        """Let what runs end, and drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _left(self, _future: Future[Any] | None) -> None:
        with self._lock:
            self._taken -= 1
