"""Searches that come while another is underway are one call, and each gets its own answer."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from imgsearch.archive.search_batcher import Together
from imgsearch.backends import Schema, connect
from imgsearch.errors import ConfigError, DimensionMismatch, FieldInvalid, VectorInvalid
from imgsearch.filters import Field
from imgsearch.types import Record

N, DIM = 40, 8


class Watched:
    """A collection whose calls are noted, and of which the first waits until it is let go."""

    def __init__(self, collection):
        self._collection = collection
        self.schema = collection.schema
        self.sizes, self.begun, self.go = [], threading.Event(), threading.Event()

    def search(self, queries, **told):
        self.sizes.append(len(queries))
        self.begun.set()
        assert self.go.wait(30)
        return self._collection.search(queries, **told)


@pytest.fixture
def collection():
    rng = np.random.default_rng(0)
    with connect(f"memory://{uuid.uuid4().hex}") as store:
        made = store.create("bilder", Schema(DIM, fields={"label": "str", "n": "int"}))
        made.upsert(
            Record(f"bild ü {n}", row, {"label": "ab"[n % 2], "n": n % 2})
            for n, row in enumerate(rng.normal(size=(N, DIM)).astype(np.float32))
        )
        yield Watched(made)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as pool:
        yield pool


def queries(number):
    return np.random.default_rng(1).normal(size=(number, DIM)).astype(np.float32)


def same(found, expected):
    """Compare answers; a matrix of other rows is summed up in another order."""
    assert [[hit.id for hit in hits] for hits in found] == [
        [hit.id for hit in hits] for hits in expected
    ]
    for ours, theirs in zip(found, expected, strict=True):
        scores = [hit.score for hit in theirs]
        assert [hit.score for hit in ours] == pytest.approx(scores, abs=1e-6)


def waits(together, number):
    """Wait until so many searches wait for the one that is underway."""
    while sum(map(len, list(together._waiting.values()))) < number:
        threading.Event().wait(0.001)


def test_those_who_wait_are_searched_for_together(collection, pool):
    together, asked = Together(), queries(9)
    found = [pool.submit(together.search, collection, asked[0], k=3)]
    assert collection.begun.wait(30)
    found += [pool.submit(together.search, collection, row, k=3) for row in asked[1:]]
    waits(together, 8)
    collection.go.set()
    same([each.result(30) for each in found], collection._collection.search(asked, k=3))
    assert collection.sizes == [1, 8]
    assert not together._underway
    assert not together._waiting


def test_what_is_asked_differently_is_not(collection, pool):
    together, asked = Together(), queries(1)[0]
    told = [
        {"k": 3},
        {"k": 4},
        {"k": 3, "offset": 1},
        {"k": 3, "min_score": 0.1},
        {"k": 3, "where": Field("n") == 1},
        {"k": 3, "where": Field("label") == "b"},
    ]
    found = [pool.submit(together.search, collection, asked, **each) for each in told]
    while len(collection.sizes) < len(told):  # all are underway: none waits for another
        threading.Event().wait(0.001)
    collection.go.set()
    expected = [collection._collection.search(asked[None], **each)[0] for each in told]
    assert [each.result(30) for each in found] == expected
    assert collection.sizes == [1] * len(told)


def test_filters_that_are_equal_and_mean_something_else_stay_apart(collection, pool):
    one, true = Field("n") == 1, Field("n") == True  # noqa: E712 - that it is equal is the point
    assert one == true
    together, asked = Together(), queries(1)[0]
    first = pool.submit(together.search, collection, asked, k=3, where=one)
    assert collection.begun.wait(30)
    collection.go.set()
    with pytest.raises(FieldInvalid, match="field 'n' takes int, not bool"):
        together.search(collection, asked, k=3, where=true)
    assert len(first.result(30)) == 3


def test_a_wrong_vector_is_refused_by_itself(collection, pool):
    together, asked = Together(), queries(2)
    first = pool.submit(together.search, collection, asked[0], k=3)
    assert collection.begun.wait(30)
    second = pool.submit(together.search, collection, asked[1], k=3)
    waits(together, 1)
    with pytest.raises(DimensionMismatch):
        together.search(collection, asked[1, :4], k=3)
    with pytest.raises(VectorInvalid):
        together.search(collection, np.full(DIM, np.nan, dtype=np.float32), k=3)
    collection.go.set()
    expected = collection._collection.search(asked, k=3)
    same([first.result(30), second.result(30)], expected)


def test_an_error_is_everybodys_and_the_next_ones_go_on(collection, pool):
    together, asked = Together(), queries(3)
    found = [pool.submit(together.search, collection, asked[0], k=0)]
    assert collection.begun.wait(30)
    found += [pool.submit(together.search, collection, row, k=0) for row in asked[1:]]
    waits(together, 2)
    collection.go.set()
    for each in found:
        with pytest.raises(ConfigError, match="k must be"):
            each.result(30)
    assert not together._underway
    assert len(together.search(collection, asked[0], k=2)) == 2


@pytest.mark.parametrize("calls", [1, 3])
def test_a_server_is_asked_by_several_at_once(collection, pool, calls):
    together, asked = Together(calls=calls), queries(8)
    found = [pool.submit(together.search, collection, row, k=3) for row in asked]
    waits(together, 8 - calls)
    assert len(collection.sizes) <= calls
    collection.go.set()
    same([each.result(30) for each in found], collection._collection.search(asked, k=3))
    assert sum(collection.sizes) == 8
    assert len(collection.sizes) >= calls


def test_many_threads_get_what_each_asked_for(collection, pool):
    together, asked = Together(), queries(400)
    collection.go.set()
    found = list(pool.map(lambda row: together.search(collection, row, k=2), asked))
    same(found, collection._collection.search(asked, k=2))
    assert sum(collection.sizes) == 400
    assert not together._waiting
