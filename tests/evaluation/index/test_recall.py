"""Recall by distance, compared with exact search: by hand, as a property, with faulty measures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.backends import Schema, connect
from imgsearch.errors import ConfigError
from imgsearch.evaluation.index.recall import Truth, ann_recall, distances
from imgsearch.types import Record

METRICS = ("cosine", "ip", "l2")


def rows(*lists):
    return np.array(lists, dtype=np.float32)


def truth(queries, gallery, *, k, metric="l2", step=7):
    """Return the exact neighbors in a gallery that is added in parts."""
    exact = Truth(queries, k=k, metric=metric)
    for start in range(0, len(gallery), step):
        exact.add(gallery[start : start + step])
    return exact


def answers(places_by_query, queries, gallery, metric="l2"):
    """Return hits at positions of the gallery, with their true distances."""
    table = distances(queries, gallery, metric)
    return [
        {f"猫-{place}": float(row[place]) for place in places}
        for places, row in zip(places_by_query, table, strict=True)
    ]


def by_id(returned, exact):
    """A faulty measure: counts the ids that both searches returned."""
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(returned, exact, strict=True)]
    return sum(shares) / len(shares)


def test_duplicates_count_by_distance_and_not_by_id():
    """Rows at 1, 1, 2, 2 from the query, k = 3: two of three rows are sure, one is a tie."""
    gallery = rows([1, 0], [1, 0], [2, 0], [2, 0])
    query = rows([0, 0.0])
    one, other = [[0, 1, 2]], [[1, 0, 3]]  # both exact
    assert by_id(other, one) == pytest.approx(2 / 3)
    known = truth(query, gallery, k=3)
    for places in (one, other):
        assert ann_recall(answers(places, query, gallery), known).tolist() == [1.0]


def test_doubled_gallery_has_recall_one_although_ids_differ():
    """Every row twice and an odd k: either twin is correct in the last place, so ids are random."""
    rng = np.random.default_rng(1)
    gallery = np.repeat(rng.normal(size=(200, 8)), 2, axis=0).astype(np.float32)
    queries = rng.normal(size=(50, 8)).astype(np.float32)
    exact = distances(queries, gallery, "cosine")
    straight = np.argsort(exact, axis=1, kind="stable")[:, :9]
    backward = len(gallery) - 1 - np.argsort(exact[:, ::-1], axis=1, kind="stable")[:, :9]
    assert by_id(backward, straight) == pytest.approx(8 / 9)
    known = truth(queries, gallery, k=9, metric="cosine")
    assert ann_recall(answers(backward, queries, gallery, "cosine"), known).mean() == 1.0


def test_farther_or_missing_rows_are_misses():
    """Distances 1, 4, 9, 16 from 0: with k = 2 the neighbors are the first two."""
    gallery, query = rows([1], [2], [3], [4]), rows([0.0])
    known = truth(query, gallery, k=2)
    for places, share in (([0, 1], 1), ([0, 2], 0.5), ([2, 3], 0), ([0], 0.5), ([], 0)):
        assert ann_recall(answers([places], query, gallery), known).tolist() == [share]


def test_more_than_k_hits_do_not_help():
    gallery, query = rows([1], [2], [3], [4]), rows([0.0])
    hits = answers([[3, 2, 1, 0]], query, gallery)
    assert ann_recall(hits, truth(query, gallery, k=2)).tolist() == [0.0]


def test_rows_within_a_millionth_count():
    query, gallery = rows([0, 0]), rows([1, 0], [1 + 3e-7, 0], [1 + 2e-6, 0])
    known = truth(query, gallery, k=1)  # squared: 1, 1 + 6e-7, 1 + 4e-6
    shares = [ann_recall(answers([[at]], query, gallery), known)[0] for at in range(3)]
    assert shares == [1, 1, 0]


def test_inner_products_are_negative_distances_with_correct_tolerance():
    query, gallery = rows([1, 0]), rows([4, 0], [2, 0], [-1, 0])
    known = truth(query, gallery, k=1, metric="ip")
    assert known.bounds()[0] == pytest.approx(-4 + 4e-6)
    assert known.bounds()[0] > -4
    assert ann_recall(answers([[0]], query, gallery, "ip"), known).tolist() == [1.0]


def test_fewer_rows_than_k_are_all_neighbors():
    gallery, query = rows([1], [2]), rows([0.0])
    known = truth(query, gallery, k=10)
    assert known.wanted == 2
    assert ann_recall(answers([[1, 0]], query, gallery), known).tolist() == [1.0]


def test_empty_comparison_raises():
    with pytest.raises(ConfigError, match="at least 1"):
        Truth(rows([1.0]), k=0, metric="l2")
    empty = Truth(rows([1.0]), k=3, metric="l2")
    empty.add(np.empty((0, 1), dtype=np.float32))
    with pytest.raises(ConfigError, match="0 rows"):
        ann_recall([{}], empty)
    with pytest.raises(ConfigError, match="1 queries"):
        ann_recall([], truth(rows([1.0]), rows([2.0]), k=1))


@pytest.mark.parametrize("metric", METRICS)
def test_distances_agree_with_hits(metric):
    rng = np.random.default_rng(3)
    gallery, queries = (rng.normal(size=(n, 6)).astype(np.float32) for n in (40, 5))
    with connect("memory://") as store:
        collection = store.create("images", Schema(6, metric))
        collection.upsert(Record(str(place), row) for place, row in enumerate(gallery))
        hits_by_query = collection.search(queries, k=40)
    table = distances(queries, gallery, metric)
    for hits, row in zip(hits_by_query, table, strict=True):
        assert [hit.distance for hit in hits] == pytest.approx([row[int(hit.id)] for hit in hits])


@settings(max_examples=150, deadline=None)
@given(
    metric=st.sampled_from(METRICS),
    k=st.integers(1, 12),
    step=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    number=st.integers(1, 30),
    doubled=st.booleans(),
    size=st.sampled_from([1e-3, 1, 1e3]),
)
def test_exact_search_has_recall_one_and_every_lost_hit_lowers_it(
    metric, k, step, seed, number, doubled, size
):
    """The memory store searches exactly, with separate code and another order."""
    rng = np.random.default_rng(seed)
    gallery = (size * rng.normal(size=(number, 3))).astype(np.float32)
    if doubled:
        gallery = np.concatenate([gallery, gallery[::-1], 3 * gallery[:2]])
    queries = (size * rng.normal(size=(4, 3))).astype(np.float32)
    with connect("memory://") as store:
        collection = store.create("images", Schema(3, metric))
        collection.upsert(Record(f"{place}", row) for place, row in enumerate(gallery))
        places = [[int(hit.id) for hit in hits] for hits in collection.search(queries, k=k)]
    known = truth(queries, gallery, k=k, metric=metric, step=step)
    full = ann_recall(answers(places, queries, gallery, metric), known)
    assert full.tolist() == [1.0] * 4
    less = ann_recall(answers([places[:-1] for places in places], queries, gallery, metric), known)
    assert less == pytest.approx(full - 1 / known.wanted)
