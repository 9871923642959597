"""The emulator in this process: its ports, its key, its folder."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from typing_extensions import override

from imgsearch.closeable import Closeable
from imgsearch.errors import ConfigError
from imgsearch.testing.tencent.faults import Faults
from imgsearch.testing.tencent.http import HttpServer
from imgsearch.testing.tencent.rpc import RpcServer
from imgsearch.testing.tencent.service import Service
from imgsearch.testing.tencent.store import Store

LOOPBACK: Final = "127.0.0.1"
MAX_BODY: Final = 100 * 2**20  # bytes; what the SDK's gRPC client sends at most


class Emulator(Closeable):
    """Tencent Cloud VectorDB's protocols on this machine; serves from when it is built.

        with Emulator(key="k", rpc_port=0) as emulator:
            client = tcvectordb.VectorDBClient(emulator.url, "root", "k")

    Attributes:
        faults: what a cloud does, to be switched on at any time.
        url, rpc_url: for `VectorDBClient` and `RPCVectorDBClient`, which both take `http://`.
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
        """Start to serve.

        Args:
            key: the API key that callers must have.
            account: and the account.
            host: where to listen. Whoever reaches it can try keys, over plain HTTP.
            port: for HTTP; 0 takes a free one.
            rpc_port: for gRPC, which needs tcvectordb; 0 takes a free one, None serves none.
            folder: where data outlive the process; None keeps them in memory.
            faults: the switches; all off where None.
            max_body: bytes of the largest request.

        Raises:
            ConfigError: the account or key is empty or not printable ASCII, a port cannot be had,
                or the folder holds another program's journal.
            StoreLocked: another emulator holds the folder.
            MissingExtra: gRPC is asked for without tcvectordb.
        """
        for name, value in (("account", account), ("key", key)):
            if not value or not value.isascii() or not value.isprintable():
                raise ConfigError(f"the {name} must be printable ASCII, and not empty")
        self.faults = faults or Faults()
        self._host, self._rpc = host, None
        self._store = Store(self.faults, Path(folder) if folder is not None else None)
        self._service = Service(self._store, self.faults, account=account, key=key)
        try:
            self._http = HttpServer(self._service, host, port, max_body)
        except (OSError, OverflowError) as error:
            self._store.close()
            raise ConfigError(f"cannot listen on {host}:{port}: {error}") from error
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
        """`http://host:port` for HTTP."""
        return f"http://{self._host}:{self._http.server_port}"

    @property
    def rpc_url(self) -> str:
        """`http://host:port` for gRPC, as the SDK's client wants it.

        Raises:
            ConfigError: gRPC was not asked for.
        """
        if self._rpc is None:
            raise ConfigError("no gRPC here: give rpc_port=0")
        return f"http://{self._host}:{self._rpc.port}"

    @property
    def calls(self) -> Mapping[str, int]:
        """How often each call came in since the start, failed ones and strangers' included."""
        return dict(self._service.seen)

    def settle(self) -> None:
        """Make every write visible to every read, and every index built."""
        self._store.settle()

    @override
    def close(self) -> None:
        """Stop serving, cut connections, let go of the folder. Twice is once."""
        self._service.ended.set()
        if self._rpc:
            self._rpc.close()
        self._http.close()
        with self._store.lock:
            self._store.close()
