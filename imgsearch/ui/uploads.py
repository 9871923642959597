"""The folder for browser uploads: one per process, removed after the process ends."""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

_PREFIX: Final = "imgsearch-page-"


@cache
def uploads() -> Path:
    """Return this process's upload folder, after removing the folders of killed processes.

    The process holds a lock on its folder, which the system releases when the process ends. Process
    ids are not sufficient, because containers that share a temporary folder may have equal ids.
    """
    temporary = Path(tempfile.gettempdir())
    remove_abandoned(temporary)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=temporary))
        with suppress(FileNotFoundError):  # another process removed the folder before it was locked
            lock = locked(folder)
            if lock is None or folder.exists():
                atexit.register(shutil.rmtree, folder, ignore_errors=True)
                return folder
            os.close(lock)


def uploaded(payload: Any) -> str | None:
    """Return the path of the file in a Gradio payload, undecoded; Gradio has checked the path."""
    return payload.path if payload is not None else None


def remove_abandoned(temporary: Path) -> None:
    """Remove the upload folders of this user's ended processes in `temporary`."""
    own = getattr(os, "getuid", None)  # missing on Windows, where the temporary folder is private
    for folder in temporary.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or (own and folder.stat().st_uid != own()):
                continue
            lock = locked(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def locked(folder: Path) -> int | None:
    """Lock a folder; return the descriptor that holds the lock until it is closed.

    Returns None if a process holds the lock already, or if the system has no `flock`.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where the folder of a killed process stays
        return None
    flags = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(folder, os.O_RDONLY | flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
