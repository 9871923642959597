"""Saves acknowledged changes in a JSON lines file, which survives `kill -9`.

A line is written to the kernel before the response is sent. An incomplete last line was not
acknowledged and is removed. Because fsync is not called, a power failure may lose lines. The file
is never compacted.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from imgsearch.errors import ConfigError, StoreLocked

HEAD: Final = {"format": "imgsearch-tencent-emulator", "version": 1}


class Journal:
    """The file `journal.jsonl` in a folder, locked by one emulator at a time."""

    def __init__(self, folder: Path) -> None:
        """Open or create the folder.

        Raises:
            StoreLocked: another emulator, in this or another process, uses the folder.
            ConfigError: another program wrote the folder's journal.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.jsonl"
        self._file = self.path.open("ab+", buffering=0)
        try:
            _lock(self._file)
        except OSError as error:
            self._file.close()
            raise StoreLocked(f"{folder} is held by another emulator. Close that one.") from error
        try:
            self._cut_tail()
            self._check_head()
        except ConfigError:
            self._file.close()
            raise

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Yield the events, oldest first."""
        with self.path.open("rb") as lines:
            next(lines)  # the head
            for line in lines:
                yield json.loads(line)

    def append(self, event: Mapping[str, Any]) -> None:
        """Append an event to the file, without fsync.

        Raises:
            OSError: the write failed. The file does not contain a part of the event.
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
        """Close the file and release the folder."""
        self._file.close()

    def _cut_tail(self) -> None:
        """Remove text after the last newline."""
        at = end = self._file.seek(0, os.SEEK_END)
        while at:
            start = max(0, at - 65_536)  # bytes read at once, backwards
            self._file.seek(start)
            block = self._file.read(at - start) or b""
            if (newline := block.rfind(b"\n")) >= 0:
                at = start + newline + 1
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
            raise ConfigError(
                f"{self.path} is not a journal of this emulator. Choose another folder."
            )


def _lock(file: BinaryIO) -> None:
    """Lock a file against other processes. Does nothing on Windows, which has no `flock`.

    Raises:
        OSError: another process has it locked.
    """
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
