"""Searches that arrive during another search share one call, and each gets its own hits."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from imgsearch.archive.search_batcher import SearchBatcher
from imgsearch.backends import Schema, connect
from imgsearch.errors import ConfigError, DimensionMismatch, FieldInvalid, VectorInvalid
from imgsearch.filters import Field
from imgsearch.types import Record

N, DIM = 40, 8


class Watched:
    """A collection that records its calls, and blocks the first one until it is released."""

    def __init__(self, collection):
        self._collection = collection
        self.schema = collection.schema
        self.sizes, self.started, self.go = [], threading.Event(), threading.Event()

    def search(self, queries, **options):
        self.sizes.append(len(queries))
        self.started.set()
        assert self.go.wait(30)
        return self._collection.search(queries, **options)


@pytest.fixture
def collection():
    rng = np.random.default_rng(0)
    with connect(f"memory://{uuid.uuid4().hex}") as store:
        bilder = store.create("bilder", Schema(DIM, fields={"label": "str", "n": "int"}))
        bilder.upsert(
            Record(f"bild ü {n}", row, {"label": "ab"[n % 2], "n": n % 2})
            for n, row in enumerate(rng.normal(size=(N, DIM)).astype(np.float32))
        )
        yield Watched(bilder)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as pool:
        yield pool


def queries(number):
    return np.random.default_rng(1).normal(size=(number, DIM)).astype(np.float32)


def same(actual, expected):
    """Compare hits with a tolerance: matrices of other sizes are summed in another order."""
    assert [[hit.id for hit in hits] for hits in actual] == [
        [hit.id for hit in hits] for hits in expected
    ]
    for ours, theirs in zip(actual, expected, strict=True):
        scores = [hit.score for hit in theirs]
        assert [hit.score for hit in ours] == pytest.approx(scores, abs=1e-6)


def waits(together, number):
    """Wait until a number of searches wait for the running one."""
    while sum(map(len, list(together._waiting.values()))) < number:
        threading.Event().wait(0.001)


def test_waiting_searches_share_one_call(collection, pool):
    together, rows = SearchBatcher(), queries(9)
    searches = [pool.submit(together.search, collection, rows[0], k=3)]
    assert collection.started.wait(30)
    searches += [pool.submit(together.search, collection, row, k=3) for row in rows[1:]]
    waits(together, 8)
    collection.go.set()
    same([search.result(30) for search in searches], collection._collection.search(rows, k=3))
    assert collection.sizes == [1, 8]
    assert not together._underway
    assert not together._waiting


def test_searches_with_other_options_do_not_share_a_call(collection, pool):
    together, row = SearchBatcher(), queries(1)[0]
    options = [
        {"k": 3},
        {"k": 4},
        {"k": 3, "offset": 1},
        {"k": 3, "min_score": 0.1},
        {"k": 3, "where": Field("n") == 1},
        {"k": 3, "where": Field("label") == "b"},
    ]
    searches = [
        pool.submit(together.search, collection, row, **search_options)
        for search_options in options
    ]
    while len(collection.sizes) < len(options):  # all are running: none waits for another
        threading.Event().wait(0.001)
    collection.go.set()
    expected = [
        collection._collection.search(row[None], **search_options)[0] for search_options in options
    ]
    assert [search.result(30) for search in searches] == expected
    assert collection.sizes == [1] * len(options)


def test_equal_filters_of_other_types_do_not_share_a_call(collection, pool):
    one, true = Field("n") == 1, Field("n") == True  # noqa: E712 - that it is equal is the point
    assert one == true
    together, row = SearchBatcher(), queries(1)[0]
    first = pool.submit(together.search, collection, row, k=3, where=one)
    assert collection.started.wait(30)
    collection.go.set()
    with pytest.raises(FieldInvalid, match="field 'n' takes int, not bool"):
        together.search(collection, row, k=3, where=true)
    assert len(first.result(30)) == 3


def test_invalid_vector_fails_alone(collection, pool):
    together, rows = SearchBatcher(), queries(2)
    first = pool.submit(together.search, collection, rows[0], k=3)
    assert collection.started.wait(30)
    second = pool.submit(together.search, collection, rows[1], k=3)
    waits(together, 1)
    with pytest.raises(DimensionMismatch):
        together.search(collection, rows[1, :4], k=3)
    with pytest.raises(VectorInvalid):
        together.search(collection, np.full(DIM, np.nan, dtype=np.float32), k=3)
    collection.go.set()
    expected = collection._collection.search(rows, k=3)
    same([first.result(30), second.result(30)], expected)


def test_error_reaches_every_search_of_a_call_and_later_ones_continue(collection, pool):
    together, rows = SearchBatcher(), queries(3)
    searches = [pool.submit(together.search, collection, rows[0], k=0)]
    assert collection.started.wait(30)
    searches += [pool.submit(together.search, collection, row, k=0) for row in rows[1:]]
    waits(together, 2)
    collection.go.set()
    for search in searches:
        with pytest.raises(ConfigError, match="k must be"):
            search.result(30)
    assert not together._underway
    assert len(together.search(collection, rows[0], k=2)) == 2


@pytest.mark.parametrize("calls", [1, 3])
def test_several_calls_run_at_once(collection, pool, calls):
    together, rows = SearchBatcher(calls=calls), queries(8)
    searches = [pool.submit(together.search, collection, row, k=3) for row in rows]
    waits(together, 8 - calls)
    assert len(collection.sizes) <= calls
    collection.go.set()
    same([search.result(30) for search in searches], collection._collection.search(rows, k=3))
    assert sum(collection.sizes) == 8
    assert len(collection.sizes) >= calls


def test_every_thread_gets_its_own_hits(collection, pool):
    together, rows = SearchBatcher(), queries(400)
    collection.go.set()
    hits = list(pool.map(lambda row: together.search(collection, row, k=2), rows))
    same(hits, collection._collection.search(rows, k=2))
    assert sum(collection.sizes) == 400
    assert not together._waiting
