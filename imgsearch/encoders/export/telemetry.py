"""Intel's libraries, imported so that they report nothing to their makers."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_REPORTER: Final = "openvino_telemetry"
_lock = threading.RLock()


@contextmanager
def unreported() -> Iterator[None]:
    """Have openvino and nncf, imported for the first time within, go without their reporter.

    With it each process that imports openvino (2026.4) tells so over the network, and nncf (3.4)
    tells of each call; without that package both go on. What a program imported before is left as
    it is.
    """
    with _lock:
        there = sys.modules.get(_REPORTER)
        sys.modules[_REPORTER] = None  # type: ignore[assignment]  # as if it were not installed
        try:
            yield
        finally:
            del sys.modules[_REPORTER]
            if there is not None:
                sys.modules[_REPORTER] = there
