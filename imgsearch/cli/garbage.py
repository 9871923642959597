"""Keeps the garbage collector away from the objects of imported modules."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Pause the garbage collector, and leave all objects that exist at the end out of collections.

    A command imports modules with 100,000 objects, which stay until the process ends. Looking for
    garbage among them takes a quarter of a search, most of it when Python exits.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
