"""The stores that contract tests run over. A new store is one line in `_url`'s table."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsearch.backends import connect
from tests.backends.bench import Bench

STORES = ("memory", "milvus-lite", "milvus")

# (store, test) → what is known not to hold: "notimpl" is ours to do, "notyet" theirs, "never"
# cannot be, each with its reason. A test that passes all the same fails: remove its line then.
DIFFERENCES: dict[tuple[str, str], tuple[str, str]] = {
    ("memory", "test_records_outlive_the_connection_on_disk"): (
        "never",
        "memory is gone with the process",
    ),
}


def _url(name: str, folder: Path) -> str:
    """Return a store's URL, "" where there is none."""
    environment = os.environ  # noqa: TID251  # tests have no settings
    return {
        "memory": "memory://contract",
        "milvus-lite": f"milvus-lite://{folder}/contract.db",
        "milvus": environment.get("IMGSEARCH_TEST_MILVUS", ""),
    }[name]


def _required(name: str) -> bool:
    """Tell whether IMGSEARCH_MUST_RUN names the store."""
    required = os.environ.get("IMGSEARCH_MUST_RUN", "")  # noqa: TID251  # as above
    return name in required.split(",")


def at_hand(name: str, folder: Path) -> str:
    """Return a store's URL; where there is none, skip, or fail if the store is required."""
    if not (url := _url(name, folder)):
        why = f"no {name} server: IMGSEARCH_TEST_MILVUS takes milvus://HOST:PORT/DATABASE"
        if _required(name):
            pytest.fail(f"{why}, and IMGSEARCH_MUST_RUN asks for it")
        pytest.skip(why)
    return url


@pytest.fixture(scope="session")
def stores_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that embedded stores lie in, one for all tests."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest, stores_folder: Path) -> Iterator[Bench]:
    """Return each store in turn, with the known differences marked."""
    name = request.param
    if known := DIFFERENCES.get((name, request.node.originalname)):
        request.applymarker(pytest.mark.xfail(strict=True, reason=": ".join(known)))
    url = at_hand(name, stores_folder)
    bench = Bench(name, url, connect(url))
    yield bench
    bench.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave one test of a store that is not at hand, to say so; all of them where it must run."""
    seen: set[str] = set()
    kept = []
    for item in items:
        call = getattr(item, "callspec", None)
        name = call.params.get("bench", "") if call else ""
        absent = name in STORES and not _url(name, Path()) and not _required(name)
        if not (absent and name in seen):
            kept.append(item)
        seen.add(name)
    items[:] = kept
