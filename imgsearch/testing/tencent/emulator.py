"""In-process emulator of Tencent Cloud VectorDB."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from typing_extensions import override

from imgsearch.errors import ConfigError
from imgsearch.testing.tencent.faults import Faults
from imgsearch.testing.tencent.http import HttpServer
from imgsearch.testing.tencent.rpc import RpcServer
from imgsearch.testing.tencent.service import Service
from imgsearch.testing.tencent.store import Store
from imgsearch.types import Closeable

LOOPBACK: Final = "127.0.0.1"
MAX_BODY: Final = 100 * 2**20  # bytes; the limit of the SDK's gRPC client


class Emulator(Closeable):
    """Serves Tencent Cloud VectorDB's protocols on this machine until `close`.

        with Emulator(key="k", rpc_port=0) as emulator:
            client = tcvectordb.VectorDBClient(emulator.url, "root", "k")

    Attributes:
        faults: emulated faults, which can be changed at any time.
        url, rpc_url: URLs for `VectorDBClient` and `RPCVectorDBClient`; both use `http://`.
    """

    def __init__(
        self,
        *,
        key: str,
        account: str = "root",
        host: str = LOOPBACK,
        port: int = 0,
        rpc_port: int | None = None,
        folder: str | os.PathLike[str] | None = None,
        faults: Faults | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        """Start serving.

        Args:
            key: the API key that clients must send.
            account: the account that clients must send.
            host: the address to listen on, with plain HTTP. Other machines that can reach it can
                guess keys.
            port: the HTTP port. 0 chooses a free port.
            rpc_port: the gRPC port, which requires tcvectordb. 0 chooses a free port; None disables
                gRPC.
            folder: the folder for persistent data. None keeps data in memory.
            faults: the emulated faults. By default all are off.
            max_body: the maximum request size in bytes.

        Raises:
            ConfigError: the account or key is empty or not printable ASCII, a port cannot be used,
                or the folder contains another program's journal.
            StoreLocked: another emulator uses the folder.
            MissingExtra: `rpc_port` is set without tcvectordb.
        """
        for name, value in (("account", account), ("key", key)):
            if not value or not value.isascii() or not value.isprintable():
                raise ConfigError(f"the {name} is invalid. Pass printable ASCII, not empty.")
        self.faults = faults or Faults()
        self._host, self._rpc = host, None
        self._store = Store(self.faults, Path(folder) if folder is not None else None)
        self._service = Service(self._store, self.faults, account=account, key=key)
        try:
            self._http = HttpServer(self._service, host, port, max_body)
        except (OSError, OverflowError) as error:
            self._store.close()
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error}. Choose another address or port."
            ) from error
        try:
            if rpc_port is not None:
                self._rpc = RpcServer(self._service, host, rpc_port, max_body)
        except (ImportError, ConfigError):
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Emulator {self.url}>"

    @property
    def url(self) -> str:
        """The HTTP URL, `http://host:port`."""
        return f"http://{self._host}:{self._http.server_port}"

    @property
    def rpc_url(self) -> str:
        """The gRPC URL, `http://host:port`, as the SDK's client expects it.

        Raises:
            ConfigError: gRPC is disabled.
        """
        if self._rpc is None:
            raise ConfigError("no gRPC: it is disabled. Pass rpc_port=0.")
        return f"http://{self._host}:{self._rpc.port}"

    @property
    def calls(self) -> Mapping[str, int]:
        """The number of requests by path, including failed and rejected requests."""
        return dict(self._service.seen)

    def settle(self) -> None:
        """Make all writes visible to all reads, and complete all indexes."""
        self._store.settle()

    @override
    def close(self) -> None:
        """Stop serving, close connections and release the folder. Idempotent."""
        self._service.ended.set()
        if self._rpc:
            self._rpc.close()
        self._http.close()
        with self._store.lock:
            self._store.close()
