"""Contract tests for searches: scores, order, pages and concurrent reads and writes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from imgsearch.errors import (
    ConfigError,
    DimensionMismatch,
    VectorInvalid,
)
from imgsearch.filters import Field
from imgsearch.testing.contract.bench import (
    Bench,
    ids,
    records,
    unit,
    vector,
)
from imgsearch.types import Fingerprint, Record

ENCODER = Fingerprint("紅-encoder", 4, weights="ab" * 32, preprocessing="resize 224", options="")
NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # by hand, for query (3, 4) and a = (6, 8), b = (4, 3), c = (-4, 3), d = (0.6, 0.8)
        # cosine: a 50/50 = 1, d 5/5 = 1, b 24/25 = .96, c (-12 + 12)/25 = 0
        ("cosine", {"a": (1, 0), "d": (1, 0), "b": (0.96, 0.04), "c": (0, 1)}),
        # inner product: a 18 + 32 = 50, b 12 + 12 = 24, d 1.8 + 3.2 = 5, c 0
        ("ip", {"a": (50, -50), "b": (24, -24), "d": (5, -5), "c": (0, 0)}),
        # squared distance: b 1 + 1 = 2, d 5.76 + 10.24 = 16, a 9 + 16 = 25, c 49 + 1 = 50;
        # score 1 - distance / 2
        ("l2", {"b": (0, 2), "d": (-7, 16), "a": (-11.5, 25), "c": (-24, 50)}),
    ],
)
def test_scores_and_distances_by_hand(
    bench: Bench, metric: Any, expected: dict[str, tuple[float, float]]
) -> None:
    collection = bench.collection(dim=2, metric=metric)
    rows = {"a": (6, 8), "b": (4, 3), "c": (-4, 3), "d": (0.6, 0.8)}
    collection.upsert([Record(name, vector(*values)) for name, values in rows.items()])
    (hits,) = collection.search(vector(3, 4)[None], k=4)
    measured = {hit.id: (hit.score, hit.distance) for hit in hits}
    assert measured.keys() == expected.keys()
    for name, (score, distance) in expected.items():
        assert measured[name] == (pytest.approx(score, abs=1e-5), pytest.approx(distance, abs=1e-5))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)


def test_unit_vectors_score_alike_under_cosine_and_l2(bench: Bench) -> None:
    # angles 0, 60 and 90 degrees: cosines 1, 1/2, 0
    rows = {"a": (1, 0), "b": (0.5, 3**0.5 / 2), "c": (0, 1)}
    for metric in ("cosine", "l2", "ip"):
        collection = bench.collection(dim=2, metric=metric)  # type: ignore[arg-type]  # literals
        collection.upsert([Record(name, vector(*values)) for name, values in rows.items()])
        (hits,) = collection.search(vector(1, 0)[None], k=3)
        assert [(h.id, round(h.score, 5)) for h in hits] == [("a", 1), ("b", 0.5), ("c", 0)]


def test_cosine_stays_within_its_bounds(bench: Bench) -> None:
    collection = bench.collection(dim=64)
    rows = np.random.default_rng(7).normal(size=(200, 64)).astype(np.float32)
    collection.upsert([Record(f"{i}", row) for i, row in enumerate(rows)])
    for hits in collection.search(rows, k=1):
        assert hits[0].score <= 1
        assert hits[0].distance >= 0
        assert hits[0].score == pytest.approx(1, abs=1e-5)
    for hits in collection.search(-rows, k=200):
        assert min(hit.score for hit in hits) >= -1


def test_order_is_nearest_first(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records("abcdefgh"))  # (1, i, 0, 0): ever further from (1, 0, 0, 0)
    (hits,) = collection.search(unit(0)[None], k=5)
    assert ids(hits) == ["a", "b", "c", "d", "e"]
    (hits,) = collection.search(unit(1)[None], k=8)
    assert ids(hits) == ["h", "g", "f", "e", "d", "c", "b", "a"]


def test_k_beyond_the_count_returns_all(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records("abc"))
    for k in (3, 4, 1_000, 16_384):
        assert sorted(ids(collection.search(unit(0)[None], k=k)[0])) == ["a", "b", "c"]


@pytest.mark.parametrize("k", [0, -1, 16_385])
def test_impossible_k_is_refused(bench: Bench, k: int) -> None:
    with pytest.raises(ConfigError, match="16,384"):
        bench.empty().search(unit(0)[None], k=k)


def test_impossible_effort_is_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="effort"):
        bench.empty().search(unit(0)[None], effort=0)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (np.ones((1, 5)), DimensionMismatch),
        (np.ones(4), DimensionMismatch),
        (np.zeros((1, 4)), VectorInvalid),
        (np.array([[1, 2, 3, NAN]]), VectorInvalid),
    ],
)
def test_bad_query_is_refused(bench: Bench, query: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        bench.empty().search(query)


def test_empty_collection_finds_nothing(bench: Bench) -> None:
    collection = bench.collection()
    assert collection.search(np.stack([unit(0), unit(1)])) == [[], []]
    assert collection.count() == 0
    assert list(collection.iterate()) == []
    assert collection.get(["a"]) == {}
    assert collection.delete(["a"]) == 0
    collection.flush()
    assert collection.search(np.empty((0, 4), dtype=np.float32)) == []


def test_batch_of_queries_returns_hits_in_order(bench: Bench) -> None:
    collection = bench.collection(dim=8)
    collection.upsert([Record(f"axis {i}", unit(i, 8)) for i in range(8)])
    queries = np.tile(
        np.eye(8, dtype=np.float32), (80, 1)
    )  # 640 queries, more than fit in one call
    results = collection.search(queries, k=1)
    assert [hits[0].id for hits in results] == [f"axis {i % 8}" for i in range(640)]


def test_pages_follow_each_other(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records("abcdefgh"))  # (1, i, 0, 0): ever further from (1, 0, 0, 0)
    queries = np.stack([unit(0), unit(1)])
    pages = [collection.search(queries, k=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [ids(page[0]) for page in pages] == [list("abc"), list("def"), list("gh"), []]
    assert [ids(page[1]) for page in pages] == [list("hgf"), list("edc"), list("ba"), []]
    (hits,) = collection.search(unit(0)[None], k=3, offset=2, where=Field("n") != 3)
    assert ids(hits) == ["c", "e", "f"]
    # the cosine of (1, 3) with (1, 0) is 1 / sqrt(10) = .316, the cosine of (1, 2) .447
    (hits,) = collection.search(unit(0)[None], k=3, offset=1, min_score=0.4)
    assert ids(hits) == ["b", "c"]
    assert collection.search(unit(0)[None], k=1, offset=16_383) == [[]]


@pytest.mark.parametrize(("k", "offset"), [(1, -1), (1, 16_384), (10_000, 6_385)])
def test_impossible_offset_is_refused(bench: Bench, k: int, offset: int) -> None:
    with pytest.raises(ConfigError, match="16,384"):
        bench.empty().search(unit(0)[None], k=k, offset=offset)


def test_min_score_omits_lower_scores(bench: Bench) -> None:
    collection = bench.collection(dim=2)
    # cosines with (1, 0): 1, .8, .6, 0, -1
    rows = {"a": (1, 0), "b": (0.8, 0.6), "c": (0.6, 0.8), "d": (0, 1), "e": (-1, 0)}
    collection.upsert([Record(name, vector(*values)) for name, values in rows.items()])
    (hits,) = collection.search(vector(1, 0)[None], min_score=0.7)
    assert ids(hits) == ["a", "b"]
    (hits,) = collection.search(vector(1, 0)[None], min_score=-0.5)
    assert ids(hits) == ["a", "b", "c", "d"]
    assert collection.search(vector(1, 0)[None], min_score=1.5) == [[]]


def test_readers_beside_a_writer_see_whole_records(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records([f"old {i}" for i in range(50)]))
    done = threading.Event()

    def read() -> int:
        rounds = 0
        while not done.is_set() or not rounds:
            (hits,) = collection.search(unit(0)[None], k=50, where=Field("n") < 50)
            assert len(hits) == 50
            assert collection.get(["old 7"])["old 7"].fields == {"n": 7}
            assert collection.count() >= 50
            rounds += 1
        return rounds

    with ThreadPoolExecutor(4) as readers:
        running = [readers.submit(read) for _ in range(4)]
        try:
            for start in range(0, 400, 50):
                collection.upsert(
                    [
                        Record(f"new {i}", vector(1, i, 1, 1), {"n": 100 + i})
                        for i in range(start, start + 50)
                    ]
                )
                if start == 200:
                    collection.flush()
            collection.delete([f"new {i}" for i in range(100)])
        finally:
            done.set()
        assert all(reader.result() for reader in running)
    assert collection.count() == 350


def test_records_outlive_the_connection_on_disk(bench: Bench) -> None:
    assert bench.store.capabilities.persistent
    collection = bench.collection(index="hnsw")
    collection.upsert(records([f"{i}" for i in range(30)]))
    bench.reopen()
    again = bench.store.open(collection.name)
    assert again.count() == 30
    assert ids(again.search(unit(0)[None], k=2)[0]) == ["0", "1"]
    again.flush()
    bench.reopen()
    assert bench.store.open(collection.name).count(where=Field("n") >= 10) == 20
