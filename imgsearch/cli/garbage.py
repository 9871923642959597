"""Keeps the garbage collector away from the objects of imported modules."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Disable the garbage collector in the block, and exempt all objects that exist at its end.

    A command imports modules with 100,000 objects, which live until the process ends. Collections
    among them would take a quarter of the time of a search, mostly when Python exits.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
