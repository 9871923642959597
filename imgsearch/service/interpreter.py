"""Interpreter settings that keep pauses short while the service runs.

With 50,000 vectors in the embedded store, a full garbage collection delayed every response by
140 ms, and collections took a tenth of the run time. Objects that exist when the service starts
live as long as the service, so later collections can skip them.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SWITCHING: Final = 0.0005  # seconds until a running thread has to release the GIL
_THRESHOLDS: Final = (50_000, 20, 20)  # of generations 0, 1 and 2, as in `gc.set_threshold`


@contextmanager
def answering() -> Iterator[None]:
    """Switch threads more often and collect garbage less often; restore both settings on exit."""
    switching, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(_SWITCHING)
    gc.set_threshold(*_THRESHOLDS)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(switching)
