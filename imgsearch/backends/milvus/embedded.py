"""An embedded Milvus store, which runs in this process."""

import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from pymilvus import MilvusClient, MilvusException

from imgsearch.backends.milvus import folder as milvus_folder
from imgsearch.errors import BackendError, ConfigError, StoreLocked

# pymilvus 3.0.2 pings every 10 s. gRPC's server, in which lite runs, allows a ping in 5 minutes of
# a call, and closes the connection after some more. pymilvus would then repeat the call beside the
# running one. The largest interval means no pings.
_OPTIONS: Final = {"grpc.keepalive_time_ms": 2**31 - 1}
_DISK: Final = re.compile(r"\[errno \d+\]|no space left|input/output error", re.IGNORECASE)


class Embedded:
    """An open store at `path`, with its `client`. A missing store is created.

    milvus-lite writes a lock and a log in `folder`. Without write permission for the store,
    `folder` is a temporary folder with links to the store's files, and `read_only` is True.

    Raises:
        ConfigError: `path` is a file, or its parent cannot be created.
        StoreLocked: another process has the store open.
        BackendError: the store cannot be opened.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        if path.is_file():
            raise ConfigError(
                f"{path} is a file, but an embedded store is a folder. Choose another path that "
                "ends in .db."
            )
        self._path, self._lock = path, -1
        self.read_only = path.is_dir() and not milvus_folder.is_writable(path)
        self.folder = path
        try:
            if self.read_only:
                self._lock = _lock_shared(path)
                self.folder = Path(tempfile.mkdtemp(prefix="imgsearch-", suffix=".db"))
                milvus_folder.link(path, self.folder)
            else:
                _make_parent(path)
            milvus_folder.check_plain(self.folder)
            self.client = MilvusClient(
                str(self.folder), timeout=timeout, dedicated=True, grpc_options=_OPTIONS
            )
        except MilvusException as error:
            reason = _open_error(path, self.folder)
            self._clear()
            raise reason from error
        except (OSError, BackendError) as error:
            self._clear()
            if isinstance(error, BackendError | ConfigError):
                raise
            raise BackendError(f"{path} cannot be opened: {error}") from error

    def close(self, *, failed: bool = False) -> None:
        """Close the store. If `failed` is True, rows in memory are not written to the disk."""
        from milvus_lite.server_manager import server_manager_instance

        self.client.close()
        if failed or self.read_only:
            _forget(self.folder)
        # otherwise lite's server thread would keep the store locked until the process ends
        server_manager_instance.release_server(str(self.folder))
        self._clear()

    def _clear(self) -> None:
        if self.folder != self._path:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def is_of_disk(text: str) -> bool:
    """Return whether an error message of lite reports a disk error."""
    return bool(_DISK.search(text))


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"store {path} cannot be created: no folder {path.parent}, and it cannot be created: "
            f"{error}. Create it, or choose another path."
        ) from error


def _lock_shared(path: Path) -> int:
    """Acquire a shared lock on a store, together with other readers.

    Returns the lock's file descriptor, or -1 if the lock file cannot be opened, or if the system
    has no `flock` (Windows): then a writer that opens the store meanwhile is not kept away.

    Raises:
        StoreLocked: a process with write permission has the store open.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return -1
    try:
        descriptor = os.open(path / milvus_folder.LOCK, os.O_RDONLY)
    except OSError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise _locked_error(path) from error
    except OSError:  # some file systems do not support locks
        return descriptor
    return descriptor


def _forget(folder: Path) -> None:
    """Discard the rows in lite's memory, as if the process were killed.

    After a failed write, lite 3.2.2 has some rows only in its log, and the next successful write
    would delete the log. When the store is reopened, lite restores the rows from the log.
    """
    from milvus_lite.server_manager import server_manager_instance

    _, database, _ = server_manager_instance._servers.get(str(folder), (None, None, None))
    for collection in list(database._collections.values()) if database else ():
        collection._bg_closed = True
        collection._bg_executor.shutdown(wait=True, cancel_futures=True)
        for sink in (collection._wal._data_sink, collection._wal._delta_sink):
            with suppress(OSError):
                if sink is not None:
                    sink.raw.close()  # otherwise the rest of a torn row would be written later
    if database:
        database._collections.clear()


def _open_error(path: Path, folder: Path) -> BackendError:
    """Open the store again to find out why lite failed, because pymilvus does not report it."""
    from milvus_lite.db import MilvusLite
    from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError

    try:
        MilvusLite(str(folder)).close()
    except DataDirLockedError:
        return _locked_error(path)
    except (MilvusLiteError, OSError, ValueError) as error:
        return BackendError(f"{path} cannot be opened: {error}")
    return StoreLocked(f"{path} was open in another process a moment ago. Retry.")


def _locked_error(path: Path) -> StoreLocked:
    return StoreLocked(f"{path} is open in another process. Close it there, or use a server.")
