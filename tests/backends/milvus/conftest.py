"""The store of a Milvus server, for tests of the backend."""

from collections.abc import Callable, Iterator

import pytest

from imgsearch.backends import connect
from imgsearch.backends.milvus.backend import Backend
from tests.conftest import Place


@pytest.fixture
def store(servers: None, place_of: Callable[[str], Place]) -> Iterator[Backend]:
    url, token = place_of("milvus")
    with connect(url, token=token) as opened:
        assert isinstance(opened, Backend)
        yield opened
