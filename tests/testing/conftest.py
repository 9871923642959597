"""An emulator, and the real SDK's two clients for it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from imgsearch.testing.tencent import Emulator

KEY = "k-secret&/+=1"  # characters that a URL escapes


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Run each test that uses a client over both protocols."""
    return str(request.param)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    pytest.importorskip("tcvectordb", reason="the SDK is not installed (pip install tcvectordb)")
    with Emulator(key=KEY, rpc_port=0) as emulator:
        yield emulator


@pytest.fixture
def connect(protocol: str) -> Iterator[Callable[..., Any]]:
    """Return a function that creates a client: `connect(emulator, **options)`."""
    tcvectordb = pytest.importorskip(
        "tcvectordb", reason="the SDK is not installed (pip install tcvectordb)"
    )
    clients = []

    def connect(emulator: Emulator, *, key: str = KEY, account: str = "root", **options) -> Any:
        if protocol == "http":
            client = tcvectordb.VectorDBClient(emulator.url, account, key, **options)
        else:
            client = tcvectordb.RPCVectorDBClient(emulator.rpc_url, account, key, **options)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(emulator: Emulator, connect: Callable[..., Any]) -> Any:
    return connect(emulator)
