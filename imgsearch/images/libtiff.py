"""libtiff's own lines on stderr, kept back while we decode.

Pillow leaves libtiff's error handler in place, which prints a line for each broken strip; the error
that matters comes as an exception.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import PIL

_FOLDERS: Final = ("../pillow.libs/libtiff*.so*", ".dylibs/libtiff*.dylib")  # of Pillow's wheels
_NAMES: Final = ("libtiff.so.6", "libtiff.so.5")  # of systems whose Pillow uses their own
_NO_LOAD: Final = getattr(os, "RTLD_NOLOAD", None)  # Windows has no such flag, and a static libtiff


class _Handler:
    """libtiff's error handler, taken away while any thread decodes; the process has one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._former: int | None = None

    def take(self) -> None:
        with self._lock:
            if self._users == 0:
                self._former = _set(None)
            self._users += 1

    def give_back(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                _set(self._former)


_handler = _Handler()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep libtiff from printing, while the block runs; it prints again afterwards."""
    _handler.take()
    try:
        yield
    finally:
        _handler.give_back()


def _set(handler: int | None) -> int | None:
    """Set libtiff's handler, None for none; return the one before."""
    setter = _setter()
    return None if setter is None else setter(handler)


@cache
def _setter() -> Any:
    """Return ``TIFFSetErrorHandler`` of the libtiff that Pillow has loaded, None without one."""
    if _NO_LOAD is None:
        return None
    here = Path(PIL.__file__).parent
    found = [str(path) for pattern in _FOLDERS for path in here.glob(pattern)]
    for name in (*found, *_NAMES):
        try:
            setter = ctypes.CDLL(name, mode=_NO_LOAD | os.RTLD_LAZY).TIFFSetErrorHandler
        except (OSError, AttributeError):
            continue
        setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
        return setter
    return None
