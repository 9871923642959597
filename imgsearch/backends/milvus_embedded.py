"""Opening and leaving an embedded Milvus, which runs in this process."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from pymilvus import MilvusClient, MilvusException

from imgsearch.backends.milvus_folder import check_plain
from imgsearch.errors import BackendError, ConfigError, StoreLocked

_DISK: Final = re.compile(r"\[errno \d+\]|no space left|input/output error", re.IGNORECASE)


def opened(path: Path, timeout: float) -> MilvusClient:
    """Open the store at `path`, made if there is none.

    Raises:
        ConfigError: no store can be there.
        StoreLocked: another process has it open.
        BackendError: it cannot be opened.
    """
    if path.is_file():
        raise ConfigError(f"{path} is a file; an embedded store is a folder that ends in .db")
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigError(f"no folder {path.parent} for the store, nor one to put it in") from error
    try:
        check_plain(path)
        return MilvusClient(str(path), timeout=timeout, dedicated=True)
    except MilvusException as error:
        raise _unopened(path) from error
    except OSError as error:
        raise BackendError(f"{path} cannot be opened: {error}") from error


def left(path: Path) -> None:
    """Stop lite's server thread, which would keep the file locked until the process ends."""
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(str(path))


def abandoned(path: Path) -> None:
    """Leave a store as a killed process does: what is in memory is not written.

    After a write that failed, lite 3.2.2 has rows in its log alone, and deletes the log with the
    next write that succeeds. Opened again, it reads them back from there.
    """
    from milvus_lite.server_manager import server_manager_instance

    _, database, _ = server_manager_instance._servers.get(str(path), (None, None, None))
    for collection in list(database._collections.values()) if database else ():
        collection._bg_closed = True
        collection._bg_executor.shutdown(wait=True, cancel_futures=True)
        for sink in (collection._wal._data_sink, collection._wal._delta_sink):
            with suppress(OSError):
                if sink is not None:
                    sink.raw.close()  # so that the rest of a torn row is not written later
    if database:
        database._collections.clear()
    left(path)


def is_of_disk(text: str) -> bool:
    """Return whether lite reports that the system refused to write or to read."""
    return bool(_DISK.search(text))


def _unopened(path: Path) -> BackendError:
    """Tell why lite did not open `path`; it only says that it did not."""
    from milvus_lite.db import MilvusLite
    from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError

    try:
        MilvusLite(str(path)).close()
    except DataDirLockedError:
        return StoreLocked(f"{path} is open in another process; close it there, or use a server")
    except (MilvusLiteError, OSError, ValueError) as error:
        return BackendError(f"{path} cannot be opened: {error}")
    return StoreLocked(f"{path} was open in another process until just now; try again")
