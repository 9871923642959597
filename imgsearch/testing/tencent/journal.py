"""What was acknowledged, in a file of JSON lines: `kill -9` loses none of it.

A line is written whole before the caller hears of it, so the kernel has it when the process dies;
a half-written last line was never acknowledged and is cut off. There is no fsync: a power cut may
lose lines. The file only grows.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from imgsearch.errors import ConfigError, StoreLocked

HEAD: Final = {"format": "imgsearch-tencent-emulator", "version": 1}


class Journal:
    """The file `journal.jsonl` of a folder, held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Open or make the folder.

        Raises:
            StoreLocked: another process, or another emulator of this one, holds the folder.
            ConfigError: the folder's journal is of another program.
        """
        import fcntl  # POSIX only; an emulator in memory works without

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.jsonl"
        self._file = self.path.open("ab+", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise StoreLocked(f"{folder} is held by another emulator: end that one") from error
        try:
            self._cut_tail()
            self._check_head()
        except ConfigError:
            self._file.close()
            raise

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Yield what was appended, oldest first."""
        with self.path.open("rb") as lines:
            next(lines)  # the head
            for line in lines:
                yield json.loads(line)

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event; on return the kernel has it.

        Raises:
            OSError: it could not be written, and is not there.
        """
        line = memoryview(json.dumps(event, separators=(",", ":")).encode() + b"\n")
        size = os.fstat(self._file.fileno()).st_size
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError:
            self._file.truncate(size)
            raise

    def close(self) -> None:
        """Let go of the folder."""
        self._file.close()

    def _cut_tail(self) -> None:
        """Drop what follows the last newline."""
        at = end = self._file.seek(0, os.SEEK_END)
        while at:
            start = max(0, at - 65_536)  # bytes read at once, backwards
            self._file.seek(start)
            block = self._file.read(at - start) or b""
            if (found := block.rfind(b"\n")) >= 0:
                at = start + found + 1
                break
            at = start
        if at != end:
            self._file.truncate(at)

    def _check_head(self) -> None:
        self._file.seek(0)
        head = self._file.readline()
        if not head:
            self.append(HEAD)
            return
        try:
            known = json.loads(head) == HEAD
        except ValueError:
            known = False
        if not known:
            raise ConfigError(f"{self.path} is no journal of this emulator: give another folder")
