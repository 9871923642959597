"""Priority for the cores: searches, which a user waits for, before background additions."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

SHARE: Final = 0.25
"""Fraction of the time that a background addition works during searches."""

_NICE: Final = 10  # added to the niceness of a thread of additions
_LATELY: Final = 0.5  # seconds after a search during which another one is expected
_POLL: Final = 0.05  # seconds between two checks for searches and cancellation


class Traffic:
    """Counts the searches that are underway. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._underway = 0
        self._ended = float("-inf")
        self._never = threading.Event()

    @contextmanager
    def search(self) -> Iterator[None]:
        """Make background additions give way while the block runs, and shortly after."""
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
        """Whether searches are underway, or ended less than half a second ago."""
        return self._underway > 0 or monotonic() - self._ended < _LATELY

    def give_way(self, worked: float, canceled: Callable[[], bool]) -> None:
        """Wait after `worked` seconds of work, during searches, so that work has its `SHARE`."""
        ends = monotonic() + worked * (1 / SHARE - 1)
        while self.busy and not canceled() and (left := ends - monotonic()) > 0:
            self._never.wait(min(left, _POLL))


def lower_priority() -> None:
    """Lower the priority of this thread and of the threads that it starts; on Linux only.

    Otherwise threads that answer requests, which compute for a moment only, wait for a core.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
