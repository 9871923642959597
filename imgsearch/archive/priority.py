"""Gives searches, which users wait for, CPU priority over background additions."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

SHARE: Final = 0.25
"""The fraction of the time for which a background addition works during searches."""

_NICE: Final = 10  # the niceness of threads that add images
_LATELY: Final = 0.5  # seconds after a search in which another search is expected
_POLL: Final = 0.05  # seconds between two checks for searches and cancellation


class Traffic:
    """Counts running searches. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._underway = 0
        self._ended = float("-inf")
        self._never = threading.Event()

    @contextmanager
    def search(self) -> Iterator[None]:
        """Return a context manager that slows down background additions during a search.

        Additions stay slow for half a second after the search.
        """
        with self._lock:
            self._underway += 1
        try:
            yield
        finally:
            with self._lock:
                self._underway -= 1
                self._ended = monotonic()

    @property
    def busy(self) -> bool:
        """Whether a search is running, or ended less than half a second ago."""
        return self._underway > 0 or monotonic() - self._ended < _LATELY

    def give_way(self, worked: float, canceled: Callable[[], bool]) -> None:
        """Wait after `worked` seconds of work, so that work takes `SHARE` of the time.

        Waits only during searches, and until `canceled` returns True.
        """
        ends = monotonic() + worked * (1 / SHARE - 1)
        while self.busy and not canceled() and (left := ends - monotonic()) > 0:
            self._never.wait(min(left, _POLL))


def lower_priority() -> None:
    """Lower the priority of this thread and of threads that it starts. Only on Linux.

    Otherwise threads that respond to requests, which compute only briefly, would wait for a core.
    """
    if sys.platform == "linux" and hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
