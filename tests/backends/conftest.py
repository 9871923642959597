"""A new emulator of Tencent VectorDB for each test, and a store on it."""

from collections.abc import Iterator
from typing import Any

import pytest

from imgsearch.backends import connect
from imgsearch.testing.tencent import Emulator
from tests.backends.cloud import KEY, PROTOCOLS, TOKEN


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(key=KEY, rpc_port=0) as started:
        yield started


@pytest.fixture(params=PROTOCOLS)
def address(request: pytest.FixtureRequest, emulator: Emulator) -> str:
    """Return the emulator's URL, for each protocol in turn."""
    given = emulator.url if request.param == "tencent" else emulator.rpc_url
    return f"{given.replace('http', request.param, 1)}/pictures"


@pytest.fixture
def cloud(address: str) -> Iterator[Any]:
    """Return the store at `address`, with a timeout of 2 seconds."""
    with connect(address, token=TOKEN, timeout=2) as opened:
        yield opened
