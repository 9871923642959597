"""Hashes of large files, remembered in this process and in the cache folder.

A remembered hash holds while the file has the same device, inode, size, modification time and
change time. A program can set back the modification time of a file, but not the change time. A
file that changed in the last seconds is hashed each time, because a further change could have the
same times.
"""

import hashlib
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from imgsearch.encoders.weights import files
from imgsearch.settings import Settings
from imgsearch.text import load_json

_Stamp = list[int]
_RECENT: Final = 2.0  # seconds; the coarsest times of file systems in use, those of FAT
_lock: Final = threading.Lock()
_known: Final[dict[str, tuple[_Stamp, str]]] = {}


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex, without reading an unchanged file again.

    Raises:
        WeightsNotFound: the file cannot be read.
    """
    key = str(path.absolute())
    stamp = _stamp(path)
    memory = _file(key)
    with _lock:
        known = _known.get(key)
    known = known or _read(memory)
    if known is not None and known[0] == stamp:
        with _lock:
            _known[key] = known
        return known[1]
    digest = files.sha256(path)
    if stamp is not None and stamp == _stamp(path) and _is_settled(path):
        with _lock:
            _known[key] = stamp, digest
        _write(memory, stamp, digest)
    return digest


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]


def _is_settled(path: Path) -> bool:
    status = path.stat()
    return time.time() - max(status.st_mtime, status.st_ctime) > _RECENT


def _file(key: str) -> Path:
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return Settings.from_environment().cache / "hashes" / f"{name}.json"


def _read(memory: Path) -> tuple[_Stamp, str] | None:
    try:
        known = load_json(memory.read_text(encoding="utf-8"))
        return list(known["stamp"]), str(known["sha256"])
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _write(memory: Path, stamp: _Stamp, digest: str) -> None:
    """Replace the file, atomically. Without write permission nothing is remembered."""
    text = json.dumps({"stamp": stamp, "sha256": digest})
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=memory.parent, prefix=".part-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(memory)
    except OSError:
        return
