"""Contract tests for indexes: every kind works with every metric."""

import numpy as np
import pytest

from imgsearch.backends import Metric
from imgsearch.testing.contract.bench import Bench, ids
from imgsearch.types import Record

ROWS, DIM, K = 2_000, 16, 10
RECALL = {"flat": 1.0, "ivf_flat": 0.9, "ivf_sq8": 0.9, "hnsw": 0.9}


def data(metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """Return 2,000 rows around 40 centers, similar to real embeddings, and 50 queries."""
    rng = np.random.default_rng(20)
    centers = rng.normal(size=(40, DIM)) * 2
    rows = centers[rng.integers(40, size=ROWS)] + rng.normal(size=(ROWS, DIM))
    queries = centers[rng.integers(40, size=50)] + rng.normal(size=(50, DIM))
    if (
        metric == "ip"
    ):  # equal lengths, otherwise the longest rows would be neighbors of all queries
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), queries.astype(np.float32)


def truth(rows: np.ndarray, queries: np.ndarray, metric: Metric) -> np.ndarray:
    """Return all similarities, float64 (queries, rows), computed with NumPy. Higher is nearer."""
    a, b = queries.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        return 1 - ((a[:, None] - b) ** 2).sum(axis=2) / 2
    if metric == "cosine":
        a /= np.linalg.norm(a, axis=1, keepdims=True)
        b /= np.linalg.norm(b, axis=1, keepdims=True)
    return a @ b.T


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("index", ["flat", "ivf_flat:nlist=64", "ivf_sq8:nlist=64", "hnsw:M=24"])
def test_index_finds_the_true_neighbors(bench: Bench, index: str, metric: Metric) -> None:
    rows, queries = data(metric)
    collection = bench.collection(dim=DIM, metric=metric, index=index, fields={})
    collection.upsert([Record(f"{i}", row) for i, row in enumerate(rows)])
    collection.flush()
    assert collection.count() == collection.indexed() == ROWS
    scores = truth(rows, queries, metric)
    results = collection.search(queries, k=K)
    nearest = np.argsort(-scores, axis=1)[:, :K]
    kind = collection.schema.index.kind
    common = [
        len(set(ids(hits)) & set(map(str, best)))
        for hits, best in zip(results, nearest, strict=True)
    ]
    assert np.mean(common) / K >= RECALL[kind] - (1e-3 if kind == "flat" else 0)
    tolerance = 0.05 if kind == "ivf_sq8" else 1e-4  # ivf_sq8 stores one byte for each dimension
    for hits, row in zip(results, scores, strict=True):
        assert [hit.score for hit in hits] == pytest.approx(
            [row[int(hit.id)] for hit in hits], rel=tolerance, abs=tolerance
        )


@pytest.mark.parametrize("index", ["hnsw", "ivf_flat"])
def test_more_effort_finds_all(bench: Bench, index: str) -> None:
    rows, queries = data("cosine")
    collection = bench.collection(dim=DIM, index=index, fields={})
    collection.upsert([Record(f"{i}", row) for i, row in enumerate(rows)])
    collection.flush()
    assert collection.settle() == ROWS  # otherwise a server may still search by brute force
    nearest = np.argsort(-truth(rows, queries, "cosine"), axis=1)[:, :100]
    results = collection.search(queries, k=100, effort=2_000)
    common = [
        len(set(ids(hits)) & set(map(str, best)))
        for hits, best in zip(results, nearest, strict=True)
    ]
    assert np.mean(common) >= 99.5
    for hits in collection.search(queries, k=100, effort=1):  # ef below k is raised to k
        assert len(hits) == 100 or index == "ivf_flat"


def test_deleted_and_replaced_rows_leave_the_index(bench: Bench) -> None:
    rows, queries = data("cosine")
    collection = bench.collection(dim=DIM, index="hnsw", fields={})
    collection.upsert([Record(f"{i}", row) for i, row in enumerate(rows)])
    collection.flush()
    first = [hits[0].id for hits in collection.search(queries, k=1)]
    assert collection.delete(first) == len(set(first))
    for hits in collection.search(queries, k=10):
        assert not {hit.id for hit in hits} & set(first)
    collection.upsert([Record(f"{i}", -row) for i, row in enumerate(rows)])
    assert collection.count() == ROWS
    (hits,) = collection.search(-rows[:1], k=1)
    assert hits[0].id == "0"
    (hits,) = collection.search(rows[:1], k=10)
    assert hits[0].score < 0.999
