"""Connects to an embedded Milvus store or a server, and translates driver errors."""

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient, MilvusException

from imgsearch.backends.milvus.embedded import Embedded, is_of_disk
from imgsearch.backends.milvus.errors import text_of, translated
from imgsearch.backends.milvus.full_text import is_supported
from imgsearch.errors import BackendError, ConfigError
from imgsearch.settings import connect_timeout

_LONG: Final = 600.0  # seconds
_DAY: Final = 86_400.0  # seconds
RECONNECT: Final = 2_000  # milliseconds between attempts to reconnect; up to 120 s by default
NO_DATABASE: Final = 800  # Milvus' error code
DRIVER_ERRORS: Final = (MilvusException, grpc.RpcError, grpc.FutureTimeoutError)


class Connection:
    """A connection to the store at `url`. Thread-safe.

    `path` is the path of an embedded store, or None for a server. `timeout` is the limit of a call
    in seconds, and `long` that of calls whose duration grows with the collection: load, flush and
    index. An embedded store is always reachable, so both are a day. Calls to an embedded store run
    one at a time, because milvus-lite 3.2.2 allows one writer, and a flush briefly releases the
    collection.
    """

    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        for name in ("pymilvus", "milvus_lite"):  # they log a traceback for every failed call
            logging.getLogger(name).setLevel(logging.CRITICAL)
        parts = urlsplit(url)
        self.url = url
        self.path = Path(url.partition("://")[2]) if parts.scheme == "milvus-lite" else None
        self.timeout = _DAY if self.path else timeout
        self.long = _DAY if self.path else _LONG
        self.database = "" if self.path else parts.path.strip("/")
        self._turn: AbstractContextManager[object] = (
            threading.RLock() if self.path else nullcontext()
        )
        self._write_failed = False  # writing to the disk of an embedded store failed
        self._embedded = Embedded(self.path, _LONG) if self.path else None
        self._client: MilvusClient | None
        if self._embedded:
            self._client = self._embedded.client
        else:
            scheme = "https" if parts.scheme == "milvus+https" else "http"
            self._client = self._connect(f"{scheme}://{parts.netloc}", token)

    @property
    def folder(self) -> Path | None:
        """The folder that milvus-lite uses. None for a server."""
        return self._embedded.folder if self._embedded else None

    @property
    def read_only(self) -> bool:
        """Whether this process has no write permission for the store's files."""
        return self._embedded is not None and self._embedded.read_only

    @cached_property
    def has_full_text(self) -> bool:
        """Whether new collections get the columns of `full_text`: on servers from 2.5 on."""
        if self.path is not None:
            return False
        with self.calling() as client:
            return is_supported(str(client.get_server_version(timeout=self.timeout)))

    @contextmanager
    def calling(self) -> Iterator[MilvusClient]:
        """Return a context manager that yields the client and translates driver errors.

        Raises:
            BackendError: the store is closed, or the call failed.
            BackendUnavailable: the server did not respond in time.
            CollectionNotFound: the collection does not exist.
        """
        with self._turn:
            if self._write_failed:
                self._reopen()
            if self._client is None:
                raise BackendError(f"{self.url} is closed. Open it again.")
            try:
                yield self._client
            except DRIVER_ERRORS as error:
                raise self._translated(error) from error

    def check_writable(self) -> None:
        """Check that this process can write to the store. Always true for servers.

        Raises:
            BackendError: the store is read-only.
        """
        if self.read_only:
            raise BackendError(
                f"{self.path} cannot be changed: it is read-only. Change its permissions, or copy "
                "it to a writable folder with `imgsearch copy`."
            )

    def close(self) -> None:
        """Close the client. Idempotent."""
        with self._turn:
            client, self._client = self._client, None
            if client is None:
                return
            if self._embedded:
                self._embedded.close(failed=self._write_failed)
            else:
                client.close()

    def _reopen(self) -> None:
        """Reopen an embedded store after a failed write; see `Embedded.close`."""
        self.close()
        if self.path:
            self._embedded = Embedded(self.path, _LONG)
            self._client = self._embedded.client
        self._write_failed = False

    def _connect(self, uri: str, token: str | None) -> MilvusClient:
        limit = connect_timeout(self.timeout)
        try:
            client = MilvusClient(
                uri,
                token=token or "",
                db_name=self.database,
                timeout=limit,
                dedicated=True,
                grpc_options={"grpc.max_reconnect_backoff_ms": RECONNECT},
            )
            client.list_collections(timeout=limit)  # the first call that names the database
        except DRIVER_ERRORS as error:
            if isinstance(error, MilvusException) and error.code == NO_DATABASE:
                raise ConfigError(
                    f"{self.url} cannot be opened: database {self.database!r} does not exist. "
                    "Create it, or name another one."
                ) from error
            raise self._translated(error) from error
        return client

    def _translated(self, error: Exception) -> BackendError:
        text = text_of(error)
        if self.path and is_of_disk(text):
            self._write_failed = True
            return BackendError(
                f"{self.path} cannot be written or read: {text}. Saved records are kept. Free disk "
                "space or repair the disk, then run it again."
            )
        return translated(error, self.url, self.timeout)
