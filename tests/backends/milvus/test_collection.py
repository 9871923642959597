"""Open Milvus collections that another program releases, rebuilds or fills."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from imgsearch.backends import Collection, FieldNames, Index, Schema, connect
from imgsearch.backends.milvus.backend import Backend
from imgsearch.backends.milvus.collection import MilvusCollection
from imgsearch.errors import BackendError, SchemaMismatch
from imgsearch.filters import Field
from imgsearch.library.copy import copy
from imgsearch.testing.contract.bench import ids, records, unit
from imgsearch.types import MAX_K
from tests.conftest import Place

NAME = "opened"


@pytest.fixture(params=["milvus-lite", "milvus"])
def store(request: pytest.FixtureRequest, place_of: Callable[[str], Place]) -> Iterator[Backend]:
    url, token = place_of(request.param)
    with connect(url, token=token) as opened:
        assert isinstance(opened, Backend)
        yield opened
        opened.drop(NAME)


@pytest.fixture
def collection(store: Backend) -> Collection:
    images = store.create(NAME, Schema(4, index=Index("hnsw"), fields={"n": "int"}))
    images.upsert(records("abcdef"))
    return images


def release(store: Backend) -> None:
    with store.calling() as client:
        client.release_collection(NAME)


def rebuild(store: Backend, kind: str, metric: str, **params: int) -> None:
    """Replace the collection's index, like another program."""
    with store.calling() as client:
        client.release_collection(NAME)
        client.drop_index(NAME, "vector")
        index = client.prepare_index_params()
        index.add_index("vector", index_type=kind, metric_type=metric, params={"params": params})
        client.create_index(NAME, index, sync=False)
        client.load_collection(NAME)


def test_released_collection_is_loaded_again_on_use(store: Backend, collection: Collection) -> None:
    uses: list[tuple[Callable[[], Any], Any]] = [
        (lambda: ids(collection.search(unit(0)[None], k=1)[0]), ["a"]),
        (collection.count, 6),
        (lambda: collection.get(["b"]).keys(), {"b"}),
        (lambda: sorted(ids(collection.iterate(batch=2))), list("abcdef")),
        (lambda: collection.upsert(records("g")), None),
        (lambda: collection.delete(["g"]), 1),
        (collection.flush, None),
    ]
    for use, expected in uses:
        release(store)
        assert use() == expected


def test_collection_without_its_index_is_indexed_and_loaded_again(
    store: Backend, collection: Collection
) -> None:
    with store.calling() as client:
        client.release_collection(NAME)
        client.drop_index(NAME, "vector")
    assert ids(collection.search(unit(0)[None], k=1)[0]) == ["a"]
    collection.flush()
    assert (store.index(NAME) or {})["index_type"] == "HNSW"


def test_rebuilt_index_is_searched_with_its_own_parameters(
    store: Backend, collection: Collection
) -> None:
    rebuild(store, "IVF_FLAT", "COSINE", nlist=1)
    collection.upsert(records("g"))  # every write checks the collection
    assert collection.schema.index == Index("ivf_flat", {"nlist": 1})
    assert ids(collection.search(unit(0)[None], k=1)[0]) == ["a"]
    assert store.open(NAME).schema.index.kind == "ivf_flat"


def test_index_by_another_metric_is_rejected(store: Backend, collection: Collection) -> None:
    rebuild(store, "FLAT", "L2")
    with pytest.raises(SchemaMismatch, match="FLAT by L2, not hnsw by cosine"):
        collection.upsert(records("g"))
    with pytest.raises(SchemaMismatch, match="drop the index"):
        collection.search(unit(0)[None])
    with pytest.raises(SchemaMismatch, match="drop the index"):
        store.open(NAME)


def test_threads_search_a_released_collection_after_one_of_them_loaded_it(
    store: Backend, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Semaphore(0)  # counts searches of the released collection
    loaded: list[str] = []
    with store.calling() as client:
        search, prepared = client.search, store.prepared

    def search_and_count(*args: Any, **options: Any) -> Any:
        try:
            return search(*args, **options)
        finally:
            answered.release()

    def load_after_all_searches(name: str, names: FieldNames) -> Any:
        if not loaded:
            assert all(answered.acquire(timeout=60) for _ in range(4))
        loaded.append(name)
        return prepared(name, names)

    monkeypatch.setattr(client, "search", search_and_count)
    monkeypatch.setattr(store, "prepared", load_after_all_searches)
    release(store)
    with ThreadPoolExecutor(4) as threads:
        searches = [threads.submit(collection.search, unit(0)[None], k=6) for _ in range(4)]
    assert [len(hits) for running in searches for hits in running.result()] == [6, 6, 6, 6]
    assert loaded == [NAME]


@pytest.mark.parametrize(
    "store", ["milvus"], indirect=True
)  # calls of an embedded store take turns
def test_search_is_repeated_after_a_concurrent_release(
    store: Backend, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.calling() as client:
        search = client.search

    def overtaken(*_args: Any, **_options: Any) -> Any:
        monkeypatch.setattr(client, "search", search)
        release(store)
        return [[]]  # the result of Milvus 2.3.5 in this case

    monkeypatch.setattr(client, "search", overtaken)
    # with a smaller k the search would be repeated because it returned too few hits
    assert sorted(ids(collection.search(unit(0)[None], k=MAX_K)[0])) == list("abcdef")


def test_repeatedly_released_collection_raises(
    store: Backend, collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(store)
    monkeypatch.setattr(store, "_load", lambda *_: None)  # the collection stays released
    with pytest.raises(BackendError, match="releases collection .* again and again"):
        collection.get(["a"])
    monkeypatch.undo()
    assert collection.get(["a"]).keys() == {"a"}


# -- ids that a plain insert wrote more than once ----------------------------------------------


@pytest.fixture
def doubled(servers: None, place_of: Callable[[str], Place]) -> Iterator[Collection]:
    """Return a server's collection of 60 ids: 40 are stored twice, and 20 three times."""
    url, token = place_of("milvus")
    with connect(url, token=token) as store:
        images = store.create(NAME, Schema(4, index=Index("flat"), fields={"n": "int"}))
        assert isinstance(store, Backend)
        rows = [{"id": f"{n:02}", "vector": [1.0, n, 0, 0], "n": n} for n in range(60)]
        with store.calling() as client:
            for part in (rows, rows[:40], rows[:20]):
                client.insert(NAME, part)
        yield images
        store.drop(NAME)


def test_duplicate_ids_are_read_once_and_counted(
    doubled: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    for batch in (1, 7, 60, 500):
        assert sorted(ids(doubled.iterate(batch=batch))) == [f"{n:02}" for n in range(60)]
    assert ids(doubled.iterate(where=Field("n") >= 58)) == ["58", "59"]
    assert [record.message.count(": 60 rows repeat an id") for record in caplog.records] == [1] * 4
    assert (doubled.count(), doubled.doubled(), doubled.doubled(Field("n") < 2)) == (120, 60, 4)


def test_duplicate_ids_do_not_shorten_the_hits(doubled: Collection) -> None:
    # (1, n, 0, 0): with decreasing similarity to (1, 0, 0, 0)
    nearest = [f"{n:02}" for n in range(60)]
    queries = np.stack([unit(0), unit(0)])
    for answer in doubled.search(queries, k=10):
        assert ids(answer) == nearest[:10]
    assert ids(doubled.search(unit(0)[None], k=10, offset=45)[0]) == nearest[45:55]
    assert ids(doubled.search(unit(0)[None], k=100)[0]) == nearest
    assert ids(doubled.search(unit(0)[None], where=Field("n") < 3)[0]) == nearest[:3]


def test_copy_reports_duplicate_ids(doubled: Collection) -> None:
    store = doubled._store  # type: ignore[attr-defined]  # of the fixture
    with connect("memory://") as target:
        done = copy(store, target, NAME)
        assert (done.copied, done.doubled) == (60, 60)
        assert target.open(NAME).count() == 60
