"""Who has the cores: searches, which somebody waits for, go before additions in the background."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

SHARE: Final = 0.25
"""Of the time that a background addition works for, as long as searches come."""

_NICE: Final = 10  # what a thread of additions adds to its niceness
_LATELY: Final = 0.5  # seconds after a search during which another one is expected
_LOOK: Final = 0.05  # seconds between two looks at who comes and who cancels


class Traffic:
    """Knows of the searches that are underway. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._underway = 0
        self._ended = float("-inf")
        self._never = threading.Event()

    @contextmanager
    def search(self) -> Iterator[None]:
        """Have additions in the background give way while the block runs, and shortly after."""
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
        """Whether searches are underway, or were a moment ago."""
        return self._underway > 0 or monotonic() - self._ended < _LATELY

    def give_way(self, worked: float, cancelled: Callable[[], bool]) -> None:
        """Wait after `worked` seconds of work, while searches come, so that they have the rest."""
        ends = monotonic() + worked * (1 / SHARE - 1)
        while self.busy and not cancelled() and (left := ends - monotonic()) > 0:
            self._never.wait(min(left, _LOOK))


def behind() -> None:
    """Have this thread, and those that it starts, run when the others leave a core; on Linux.

    Else whoever answers, and computes for a moment only, waits for a core each time.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
