"""Compiled and optimized models in the cache folder, so that a process need not compile them.

A file has a line of JSON with its key and a checksum, and then the model. A file with another key
or checksum is ignored and replaced. Files are replaced atomically, so that any number of processes
may start at the same time. Without write permission nothing is kept.
"""

import json
import logging
import os
import platform
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from imgsearch.text import load_json

_log = logging.getLogger(__name__)
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Entry:
    """A file for one compiled model; `key` has plain values that the model depends on."""

    file: Path
    key: Mapping[str, Any]

    def read(self) -> bytes | None:
        """Return the model, or None if the file is missing, damaged or has another key."""
        try:
            header, _, content = self.file.read_bytes().partition(b"\n")
            known = load_json(header)
        except (OSError, ValueError):
            return None
        return content if known == self._header(content) else None

    def write(self, content: bytes) -> None:
        """Replace the file. Errors are logged, because the cache only saves time."""
        try:
            header = json.dumps(self._header(content)).encode()
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.file.parent, prefix=".part-") as part:
                draft = Path(part) / self.file.name
                draft.write_bytes(header + b"\n" + content)
                draft.replace(self.file)
        except OSError as error:
            _log.debug("the compiled model %s is not kept: %s", self.file, error)

    def _header(self, content: bytes) -> dict[str, Any]:
        # a checksum is enough against damage; a program that can write here could write exports
        return {"key": dict(self.key), "length": len(content), "crc32": zlib.crc32(content)}


def stamp(*files: Path) -> list[list[int]]:
    """Return size and modification time in ns of files, for a key.

    Raises:
        OSError: a file is missing.
    """
    statuses = [file.stat() for file in files]
    return [[status.st_size, status.st_mtime_ns] for status in statuses]


@cache
def machine() -> str:
    """Return the names of the CPU and the operating system, because compiled code depends on them.

    On Linux the CPU's name and features follow. `platform.processor` would start a process.
    """
    names = [platform.system(), platform.machine(), str(os.cpu_count())]
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].split("\n")
    except OSError:
        lines = []
    return " ".join([*names, *(line for line in lines if line.startswith(("model name", "flags")))])
