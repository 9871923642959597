"""A pytest plugin for the contract tests. ``--store URL`` selects the store to test."""

from collections.abc import Iterator, Mapping

import pytest
from typing_extensions import override

from imgsearch.backends import Collection, VectorBackend, connect
from imgsearch.fields import FieldType
from imgsearch.testing.contract.bench import Bench, clear_kept


class StoreBench(Bench):
    """A bench that skips tests of bits, of other programs' collections and of fields added later.

    Bits and added fields are tested if the store has them.
    """

    @override
    def bits(self, *, dim: int, index: str = "flat") -> Collection:
        if "hamming" not in self.store.capabilities.metrics:
            pytest.skip("the store does not compare bits: its capabilities lack the metric hamming")
        return super().bits(dim=dim, index=index)

    @override
    def add_fields(self, name: str, fields: Mapping[str, FieldType]) -> Collection:
        if type(self.store)._declare is VectorBackend._declare:
            pytest.skip("the store cannot add fields to a collection")
        return super().add_fields(name, fields)

    @override
    def foreign(self, *, dim: int = 4) -> str:
        pytest.skip("the suite knows no other program that creates collections in this store")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options ``--store`` and ``--store-token``."""
    group = parser.getgroup("imgsearch", "the contract of vector stores")
    group.addoption("--store", metavar="URL", help="Test the store at this URL.")
    group.addoption("--store-token", metavar="TOKEN", help="Connect with this token.")


@pytest.fixture(scope="session")
def store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL from ``--store``. Shared collections are dropped after the last test."""
    url = request.config.getoption("store")
    if not url:
        raise pytest.UsageError("no store to test. Name one: --store SCHEME://…")
    yield str(url)
    clear_kept()


@pytest.fixture
def bench(request: pytest.FixtureRequest, store_url: str) -> Iterator[Bench]:
    """Return the bench. Collections that the test created are dropped after it."""
    token = request.config.getoption("store_token")
    bench = StoreBench("own", store_url, connect(store_url, token=token), token)
    yield bench
    bench.clear()
