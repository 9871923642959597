"""Python's own pauses, kept short while requests are answered.

Both are the process's and come back when the block is left. With 50,000 vectors in the embedded
store, a collection of all garbage held up every answer for 140 ms, and collections took a tenth of
the time; what is there when the service starts stays, and need not be looked at again.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SWITCHING: Final = 0.0005  # seconds until a thread that computes lets another one answer
_THRESHOLDS: Final = (50_000, 20, 20)  # new objects, and collections of younger ones, for the next


@contextmanager
def answering() -> Iterator[None]:
    """Have threads take turns more often, and collect garbage more seldom."""
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
