"""Suppression of libtiff's messages on stderr while an image is decoded.

Pillow leaves libtiff's error handler in place, which prints a line for each invalid strip. Pillow
raises an exception for the error as well.
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
_NAMES: Final = ("libtiff.so.6", "libtiff.so.5")  # where Pillow uses the system's libtiff
_NO_LOAD: Final = getattr(os, "RTLD_NOLOAD", None)  # missing on Windows, where libtiff is static


class _Handler:
    """libtiff's process-wide error handler, which is removed while any thread decodes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._previous: int | None = None

    def remove(self) -> None:
        with self._lock:
            if self._users == 0:
                self._previous = _set(None)
            self._users += 1

    def restore(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                _set(self._previous)


_handler = _Handler()


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress libtiff's messages while the block runs."""
    _handler.remove()
    try:
        yield
    finally:
        _handler.restore()


def _set(handler: int | None) -> int | None:
    """Set libtiff's error handler (None removes it) and return the previous one."""
    setter = _setter()
    return None if setter is None else setter(handler)


@cache
def _setter() -> Any:
    """Return ``TIFFSetErrorHandler`` of the libtiff that Pillow loaded. None if not found."""
    if _NO_LOAD is None:
        return None
    package = Path(PIL.__file__).parent
    bundled = [str(path) for pattern in _FOLDERS for path in package.glob(pattern)]
    for name in (*bundled, *_NAMES):
        try:
            setter = ctypes.CDLL(name, mode=_NO_LOAD | os.RTLD_LAZY).TIFFSetErrorHandler
        except (OSError, AttributeError):
            continue
        setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
        return setter
    return None
