"""An emulated Tencent VectorDB, with the arguments by which the tutorials' operators reach it.

A test module or conftest.py imports the fixtures.
"""

import uuid

import pytest

from tests.conftest import at_hand

KEY = "geheimer-schlüssel".encode().hex()


@pytest.fixture(scope="session")
def emulator():
    at_hand("tencent")
    from imgsearch.testing.tencent import Emulator

    with Emulator(key=KEY) as running:
        yield running


@pytest.fixture
def place(emulator):
    """Return the arguments of a database and a collection that do not exist yet."""
    host, port = emulator.url.removeprefix("http://").split(":")
    return {
        "host": host, "port": port, "username": "root", "key": KEY,
        "dbName": f"db_{uuid.uuid4().hex}", "collectionName": "reverse_image_search",
    }  # fmt: skip
