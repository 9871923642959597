"""Contract tests for vectors of bits, compared by the metric hamming."""

from typing import Any

import numpy as np
import pytest

from imgsearch.errors import ConfigError, IndexRefused
from imgsearch.filters import Field
from imgsearch.testing.contract.bench import Bench, ids
from imgsearch.types import Record

DIM, ROWS = 64, 500


def bits(text: str) -> np.ndarray:
    """Return a vector of the bits in a text such as "0110 0001"."""
    return np.array([int(bit) for bit in text.replace(" ", "")], dtype=np.float32)


def test_bits_are_compared_or_refused_with_advice(bench: Bench) -> None:
    if "hamming" in bench.store.capabilities.metrics:
        assert bench.collection(dim=8, metric="hamming").schema.metric == "hamming"
        return
    with pytest.raises(IndexRefused, match=r"cannot compare by hamming.*by cosine"):
        bench.collection(dim=8, metric="hamming")


def test_bits_are_a_multiple_of_eight(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="multiple of 8 bits, not 12"):
        bench.collection(dim=12, metric="hamming")


def test_distance_is_the_number_of_different_bits(bench: Bench) -> None:
    collection = bench.bits(dim=8)
    rows = {"a": "1111 0000", "b": "1111 0001", "c": "0000 1111", "d": "1100 0000"}
    collection.upsert([Record(name, bits(text)) for name, text in rows.items()])
    (hits,) = collection.search(bits("1111 0000")[None], k=4)
    measured = {hit.id: (hit.score, hit.distance) for hit in hits}
    # score 1 - 2 h / 8
    assert measured == {"a": (1, 0), "b": (0.75, 1), "d": (0.5, 2), "c": (-1, 8)}
    assert ids(hits) == ["a", "b", "d", "c"]
    (near,) = collection.search(bits("1111 0000")[None], k=4, min_score=0.6)
    assert ids(near) == ["a", "b"]
    (second,) = collection.search(bits("1111 0000")[None], k=1, offset=2)
    assert ids(second) == ["d"]


def test_components_above_zero_are_ones_and_come_back_as_unit_vectors(bench: Bench) -> None:
    collection = bench.bits(dim=16)
    values = np.array([0.5, -0.5, 0, 3, -3, 1e-9, 7, -7] * 2, dtype=np.float32)
    collection.upsert([Record("a", values, {"n": 1})])
    expected = np.where(values > 0, 0.25, -0.25)  # 1 / sqrt(16)
    (record,) = collection.iterate()
    assert record.vector == pytest.approx(expected)
    assert collection.get(["a"], vectors=True)["a"].vector == pytest.approx(expected)
    collection.upsert([Record("a", -values, {"n": 2})])
    assert collection.count() == 1
    replaced = collection.get(["a"], vectors=True)["a"]
    assert replaced.vector == pytest.approx(np.where(-values > 0, 0.25, -0.25))
    assert replaced.fields["n"] == 2


@pytest.mark.parametrize("index", ["flat", "ivf_flat:nlist=16"])
def test_nearest_bits_are_found_in_every_index(bench: Bench, index: str) -> None:
    rng = np.random.default_rng(5)
    centers = rng.integers(2, size=(20, DIM))[rng.integers(20, size=ROWS)]
    rows = np.where(rng.random((ROWS, DIM)) < 0.1, 1 - centers, centers)
    collection = bench.bits(dim=DIM, index=index)
    collection.upsert(
        [Record(f"{i}", row.astype(np.float32), {"n": i % 2}) for i, row in enumerate(rows)]
    )
    collection.flush()
    queries = rows[:20].astype(np.float32)
    different = (rows[:20, None] != rows[None]).sum(axis=2)
    odd: Any = Field("n") == 1
    for place, hits in enumerate(collection.search(queries, k=5, effort=16)):
        assert [hit.distance for hit in hits] == np.sort(different[place])[:5].tolist()
    for place, hits in enumerate(collection.search(queries, k=5, where=odd, effort=16)):
        assert [hit.distance for hit in hits] == np.sort(different[place, 1::2])[:5].tolist()


def test_reopened_collection_keeps_its_metric(bench: Bench) -> None:
    collection = bench.bits(dim=8)
    collection.upsert([Record("a", bits("1111 0000"))])
    again = bench.store.open(collection.name)
    assert (again.schema.metric, again.schema.dim) == ("hamming", 8)
    (hits,) = again.search(bits("1111 1111")[None], k=1)
    assert (hits[0].distance, hits[0].score) == (4, 0)


def test_bits_by_cosine_have_the_same_order_and_scores(bench: Bench) -> None:
    rng = np.random.default_rng(6)
    rows = rng.integers(2, size=(50, 16)).astype(np.float32) * 2 - 1
    collection = bench.collection(dim=16)
    collection.upsert([Record(f"{i}", row) for i, row in enumerate(rows)])
    (hits,) = collection.search(rows[:1], k=50)
    different = (rows != rows[0]).sum(axis=1)
    assert [hit.score for hit in hits] == pytest.approx(1 - np.sort(different) / 8, abs=1e-5)
