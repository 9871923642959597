"""Retries of calls to Tencent VectorDB, and the errors after the last attempt."""

import math
import time
from collections.abc import Callable
from itertools import islice

import pytest

pytest.importorskip("tcvectordb", reason="pip install '.[tencent]'")

import requests

from imgsearch.backends import Schema, connect
from imgsearch.backends.tencent import calls
from imgsearch.backends.tencent.backend import Backend
from imgsearch.backends.tencent.calls import Calls
from imgsearch.backends.tencent.collection import TencentCollection
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    CollectionNotFound,
    IndexRefused,
)
from imgsearch.testing.contract.bench import ids, records, unit
from imgsearch.testing.tencent import Emulator
from tests.backends.cloud import TOKEN, sdk

IDEMPOTENT: dict[str, Callable[[TencentCollection], object]] = {
    "/document/upsert": lambda collection: collection.upsert(records("abc")),
    "/document/delete": lambda collection: collection.delete(["a"]),
    "/document/search": lambda collection: collection.search(unit(0)[None]),
    "/document/query": lambda collection: list(collection.iterate()),
    "/document/count": lambda collection: collection.count(),
}


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait 10 ms before the second attempt, instead of 100."""
    monkeypatch.setattr(calls, "PAUSE", 0.01)


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("fault", ["429", "500", "503", "drop"])
@pytest.mark.parametrize("path", IDEMPOTENT)
def test_idempotent_calls_are_retried(
    cloud: Backend, emulator: Emulator, path: str, fault: str, *, applied: bool
) -> None:
    collection = cloud.create("a", Schema(4, fields={"n": "int"}))
    collection.upsert(records("abc"))
    before = emulator.calls.get(path, 0)
    if fault == "drop":
        emulator.faults.drop(applied=applied, path=path)
    else:
        emulator.faults.fail(int(fault), applied=applied, path=path)
    assert isinstance(collection, TencentCollection)
    IDEMPOTENT[path](collection)
    assert emulator.calls[path] == before + 2
    assert collection.count() == (2 if path == "/document/delete" else 3)


def test_retry_pauses_grow_with_jitter() -> None:
    rounds = [list(islice(Calls("", None, 1)._pauses(), 6)) for _ in range(20)]
    for pauses in rounds:
        for pause, mean in zip(pauses, (0.1, 0.2, 0.4, 0.5, 0.5, 0.5), strict=True):
            assert mean / 2 <= pause <= 1.5 * mean
    assert len({pauses[0] for pauses in rounds}) == 20


def test_number_of_retries_is_limited(cloud: Backend, emulator: Emulator) -> None:
    collection = cloud.create("a", Schema(4))
    before = emulator.calls.get("/document/count", 0)
    emulator.faults.fail(503, calls=50, path="/document/count")
    with pytest.raises(BackendUnavailable, match="503"):
        collection.count()
    assert emulator.calls["/document/count"] == before + 4


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/collection/create", lambda store: store.create("new", Schema(4))),
        ("/database/create", lambda store: store.create("new", Schema(4))),
        ("/collection/drop", lambda store: store.drop("old")),
        ("/alias/set", lambda store: store.set_alias("other", "old")),
        ("/alias/delete", lambda store: store.drop_alias("known")),
    ],
)
def test_other_calls_are_not_retried(
    address: str,
    emulator: Emulator,
    path: str,
    call: Callable[[Backend], object],
    *,
    applied: bool,
) -> None:
    if path != "/database/create":
        bare = sdk(emulator)
        bare.create_database("pictures")
        with connect(address, token=TOKEN) as other:
            other.create("old", Schema(4))
            other.set_alias("known", "old")
        bare.close()
    with connect(address, token=TOKEN) as store:
        assert isinstance(store, Backend)
        before = emulator.calls.get(path, 0)
        emulator.faults.fail(503, applied=applied, path=path)
        with pytest.raises(BackendUnavailable):
            call(store)
        assert emulator.calls[path] == before + 1
        if path.endswith("create"):
            # a second call completes the creation
            assert store.create("new", Schema(4)).count() == 0


def test_slow_response_is_retried_and_raises_backend_unavailable(
    cloud: Backend, emulator: Emulator
) -> None:
    collection = cloud.create("a", Schema(4))
    emulator.faults.slow(30, path="/document/count")  # the first attempt has half of the 2 seconds
    assert collection.count() == 0
    emulator.faults.slow(30, calls=2, path="/document/count")
    start = time.monotonic()
    with pytest.raises(BackendUnavailable, match="within 2 s") as error:
        collection.count()
    assert time.monotonic() - start < 3.5
    if cloud.url.startswith("tencent:"):
        assert isinstance(error.value.__cause__, requests.ReadTimeout)  # passed through by the SDK


def test_rejected_request_is_not_retried(cloud: Backend, emulator: Emulator) -> None:
    collection = cloud.create("a", Schema(4))
    before = emulator.calls.get("/document/count", 0)
    emulator.faults.refuse(15000, "strange … syntax", path="/document/count")
    with pytest.raises(BackendError, match="strange … syntax") as error:
        collection.count()
    assert not isinstance(error.value, BackendUnavailable | CollectionNotFound)
    assert emulator.calls["/document/count"] == before + 1


def test_search_waits_for_the_index(cloud: Backend, emulator: Emulator) -> None:
    emulator.faults.building = 3
    collection = cloud.create("a", Schema(4))
    collection.upsert(records("abc"))
    assert ids(collection.search(unit(0)[None])[0]) == ["a", "b", "c"]
    collection.upsert(records("d"))
    assert collection.indexed() == 0
    collection.flush()
    assert collection.indexed() == 4
    emulator.faults.building = math.inf
    collection.upsert(records("e"))
    start = time.monotonic()
    with pytest.raises(BackendUnavailable, match="built"):
        collection.search(unit(0)[None])
    assert 1 < time.monotonic() - start < 3
    emulator.settle()
    assert len(collection.search(unit(0)[None])[0]) == 5


def test_failed_index_raises(cloud: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.create("a", Schema(4))
    monkeypatch.setattr(cloud, "_status", lambda name: "failed")
    with pytest.raises(IndexRefused, match="'a'"):
        cloud.await_index("a")
