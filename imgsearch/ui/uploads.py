"""The folder of what browsers upload: one a process, removed when the process ends or is gone."""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

_PREFIX: Final = "imgsearch-page-"


@cache
def uploads() -> Path:
    """Return this process's folder, having removed those that killed processes left.

    The process holds a lock on it, which the system releases however the process ends; a process id
    would not do, because containers that share a temporary folder have equal ones.
    """
    temporary = Path(tempfile.gettempdir())
    remove_abandoned(temporary)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=temporary))
        with suppress(FileNotFoundError):  # another process found it before it was locked
            lock = locked(folder)
            if lock is None or folder.exists():
                atexit.register(shutil.rmtree, folder, ignore_errors=True)
                return folder
            os.close(lock)


def remove_abandoned(temporary: Path) -> None:
    """Remove the folders of this user's processes that have ended."""
    for folder in temporary.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = locked(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def locked(folder: Path) -> int | None:
    """Return a descriptor that holds the folder's lock until it is closed.

    None: a process holds it already, or the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where a folder whose process was killed stays
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
