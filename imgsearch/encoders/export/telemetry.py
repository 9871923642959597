"""Imports of Intel's libraries without telemetry."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_REPORTER: Final = "openvino_telemetry"
_lock = threading.RLock()


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Disable the telemetry of openvino and nncf, if they are first imported in this context.

    With telemetry, openvino (2026.4) sends a message in each process, and nncf (3.4) for each call.
    Both work without the package. Earlier imports of the program are not changed.
    """
    with _lock:
        previous = sys.modules.get(_REPORTER)
        sys.modules[_REPORTER] = None  # type: ignore[assignment]  # as if it were not installed
        try:
            yield
        finally:
            del sys.modules[_REPORTER]
            if previous is not None:
                sys.modules[_REPORTER] = previous
