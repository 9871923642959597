"""The measures, compared with examples by hand, an independent oracle, and faulty measures."""

import inspect
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Rprec, Success, nDCG

from imgsearch.errors import DatasetError
from imgsearch.evaluation import metrics
from imgsearch.evaluation.metrics import Measures, Ranking, interval, measure

K = 10
Measure = Callable[[Sequence[Ranking]], Measures]


def ranking(pattern: str, relevant: int, *, query: str = "猫.jpg") -> Ranking:
    """Return a ranking from its pattern: x is relevant, . is not."""
    return Ranking(
        query=query,
        ids=[f"{rank}" for rank in range(len(pattern))],
        scores=[1 - rank / 100 for rank in range(len(pattern))],
        relevance=[mark == "x" for mark in pattern],
        relevant=relevant,
    )


# pattern, R → the value at k = 10, by hand
BY_HAND = [
    # one hit at rank 1 of 10: S = 1, h = 1
    ("x.........", 10, {"hit": 1, "precision": 0.1, "recall": 0.1, "map": 0.1, "ap_hits": 1.0}),
    # hits at 1, 3, 6: S = 1/1 + 2/3 + 3/6 = 13/6
    ("x.x..x....", 4, {"precision": 0.3, "recall": 0.75, "map": 13 / 24, "ap_hits": 13 / 18}),
    # a perfect ten of twenty: S = 10, min(R, k) = 10
    ("xxxxxxxxxx", 20, {"precision": 1, "recall": 0.5, "map": 1, "ap_hits": 1, "ndcg": 1}),
    # one hit of twenty at rank 2: S = 1/2, divided by 10 and not by 20
    (".x........", 20, {"recall": 0.05, "map": 0.05, "ap_hits": 0.5}),
    # one hit at rank 3 of 1: (1 / log2 4) / (1 / log2 2) = 1/2
    ("..x.......", 1, {"hit": 1, "recall": 1, "map": 1 / 3, "ap_hits": 1 / 3, "ndcg": 0.5}),
    # a short ranking: missing hits are misses, and precision is still over ten
    ("xx", 2, {"hit": 1, "precision": 0.2, "recall": 1, "map": 1, "ap_hits": 1, "ndcg": 1}),
    # rank 11 is beyond k
    ("..........x", 1, {"hit": 0, "precision": 0, "recall": 0, "map": 0, "ap_hits": 0, "ndcg": 0}),
    ("", 3, {"hit": 0, "precision": 0, "recall": 0, "map": 0, "ap_hits": 0, "ndcg": 0}),
    # first hit at rank 3; two of the first R = 4
    ("..xx.x", 4, {"mrr": 1 / 3, "r_precision": 2 / 4}),
]


def judge(measure: Measure) -> None:
    """Check a function that measures against all requirements of this file."""
    for pattern, relevant, expected in BY_HAND:
        got = measure([ranking(pattern, relevant)]).metrics
        for name, value in expected.items():
            measured = got[name if name in got else f"{name}@{K}"]
            assert measured == pytest.approx(value), f"{name} of {pattern!r}, R {relevant}"
    capped = measure([ranking("xxxxxxxxxx", 20), ranking("x.........", 5)])
    # by hand: the mean of 10 of 20 and of 5 of 5
    assert any("recall@10 is capped at 0.750: 1 of 2" in note for note in capped.notes)
    # R = 0 is left out: the mean covers only the first query
    both = measure([ranking("x.........", 1), ranking("..........", 0)])
    assert (both.metrics["map@10"], both.queries, both.left_out) == (1.0, 1, 1)


def test_measures_match_examples_worked_by_hand():
    judge(measure)


def test_every_measure_has_one_name():
    names = {
        f"{name}@{k}"
        for name in ("hit", "precision", "recall", "map", "ap_hits", "ndcg")
        for k in (1, 5, 10)
    }
    assert set(measure([ranking("x", 1)]).metrics) == names | {"mrr", "r_precision"}


def test_every_measure_has_an_example_worked_by_hand():
    examples = {name for _, _, expected in BY_HAND for name in expected}
    assert {name.partition("@")[0] for name in measure([ranking("x", 1)]).metrics} == examples


def test_every_function_of_a_measure_is_reported():
    reported = inspect.getsource(metrics._values)
    for name, function in inspect.getmembers(metrics, inspect.isfunction):
        if not name.startswith("_") and "relevance" in inspect.signature(function).parameters:
            assert f"{name}(" in reported, name


@st.composite
def judged(draw: st.DrawFn) -> tuple[list[bool], int]:
    relevance = draw(st.lists(st.booleans(), min_size=1, max_size=25))
    return relevance, draw(st.integers(max(1, sum(relevance)), 30))


@settings(deadline=None, max_examples=200)
@given(judged())
def test_measures_agree_with_ir_measures(example: tuple[list[bool], int]):
    relevance, relevant = example
    pattern = "".join("x" if hit else "." for hit in relevance)
    mine = measure([ranking(pattern, relevant)]).metrics
    relevant_ids = [str(rank) for rank, hit in enumerate(relevance) if hit]
    judgments = dict.fromkeys(relevant_ids, 1)
    judgments |= {f"missed{i}": 1 for i in range(relevant - len(relevant_ids))}
    run = {str(rank): float(len(relevance) - rank) for rank in range(len(relevance))}
    oracle_measures = {
        "hit@10": Success @ K,
        "precision@10": P @ K,
        "recall@10": R @ K,
        "ndcg@10": nDCG @ K,
        "map@5": AP @ 5,
        "map@10": AP @ K,
        "mrr": RR,
        "r_precision": Rprec,
    }
    oracle = ir_measures.calc_aggregate(
        list(oracle_measures.values()), {"q": judgments}, {"q": run}
    )
    for name, other in oracle_measures.items():
        expected = oracle[other]
        if name.startswith("map"):  # the oracle divides by R throughout, we by min(R, k)
            expected *= relevant / min(relevant, int(name.removeprefix("map@")))
        assert mine[name] == pytest.approx(expected, abs=1e-9), name


@settings(deadline=None)
@given(judged())
def test_every_value_is_between_zero_and_one(example: tuple[list[bool], int]):
    relevance, relevant = example
    pattern = "".join("x" if hit else "." for hit in relevance)
    values = measure([ranking(pattern, relevant)]).metrics.values()
    assert all(0 <= value <= 1 + 1e-12 for value in values)


def test_per_query_values_are_kept_in_the_order_of_the_names():
    got = measure(
        [
            ranking("x.", 1, query="goldfish"),
            ranking("..", 0, query="nothing to find"),
            ranking(".x", 1, query="zorro común"),
        ]
    )
    assert got.names == ("goldfish", "zorro común")
    assert got.per_query["map@10"].tolist() == [1.0, 0.5]
    assert got.metrics["map@10"] == pytest.approx(statistics.mean([1.0, 0.5]))


def test_ambiguous_results_are_noted():
    notes = " ".join(measure([ranking("x.", 3), ranking("..", 0)]).notes)
    assert "1 of 2 queries left out" in notes
    assert "1 of 1 rankings hold fewer than 10 hits" in notes
    assert "precision@10 is capped at 0.300" in notes
    assert "r_precision is a lower bound" in notes
    assert measure([ranking("x" * 10, 10)], ks=(10,)).notes == ()


def test_queries_without_relevant_images_raise():
    with pytest.raises(DatasetError, match="none of 1 query"):
        measure([ranking("...", 0)])
    with pytest.raises(DatasetError, match="none of 0 queries"):
        measure([])


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_score_that_is_not_a_number_raises(score: float):
    with pytest.raises(DatasetError, match="NaN or infinite"):
        replace(ranking("x..", 1), scores=[1.0, score, 0.5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ["a", "b", "a"]}, "'a' occurs more than once"),
        ({"ids": ["a", "b"]}, "give one of each"),
        ({"scores": [0.1, 0.2, 0.3]}, "not distances"),
        ({"relevant": 0}, "1 hits are relevant but only 0"),
        ({"relevant": -1}, "-1 relevant"),
    ],
)
def test_invalid_ranking_raises(change: dict[str, object], message: str):
    with pytest.raises(DatasetError, match=message):
        replace(ranking("x..", 1), **change)


def test_scores_of_equal_hits_may_differ_in_their_last_digits():
    one = np.float32(0.7)
    above = float(np.nextafter(one, np.float32(1)))
    assert replace(ranking("x.", 1), scores=[float(one), above]).relevant == 1


def test_k_and_r_below_one_are_errors():
    with pytest.raises(DatasetError, match="k must be at least 1"):
        metrics.hit_at([True], k=0)
    with pytest.raises(DatasetError, match="leave it out"):
        metrics.recall_at([], relevant=0, k=10)


def test_standard_rule_detects_towhees_average_precision():
    def liar(rankings: Sequence[Ranking]) -> Measures:
        honest = measure(rankings)
        return replace(honest, metrics={**honest.metrics, "map@10": honest.metrics["ap_hits@10"]})

    with pytest.raises(AssertionError, match="map of"):
        judge(liar)


def test_query_left_in_the_gallery_is_detected():
    honest = ranking("x..", 1)
    with pytest.raises(DatasetError, match="contains the query itself"):
        replace(honest, ids=[honest.query, "1", "2"])
    # without matching ids, it is detected by more relevant hits than relevant images
    with pytest.raises(DatasetError, match="2 hits are relevant but only 1 image"):
        replace(honest, relevance=[True, True, False])


def test_hidden_cap_on_recall_is_detected():
    def liar(rankings: Sequence[Ranking]) -> Measures:
        return replace(measure(rankings), notes=())

    with pytest.raises(AssertionError):
        judge(liar)


def test_zero_scores_of_queries_without_relevant_images_are_detected():
    def liar(rankings: Sequence[Ranking]) -> Measures:
        honest = measure(rankings)
        share = honest.queries / len(rankings)
        return replace(
            honest, metrics={name: value * share for name, value in honest.metrics.items()}
        )

    with pytest.raises(AssertionError):
        judge(liar)


def test_interval_agrees_with_the_normal_approximation():
    values = np.random.default_rng(7).random(1_000)
    low, high = interval(values, rng=11)
    half = 1.96 * values.std() / math.sqrt(values.size)
    # the ends are quantiles of 10,000 draws: off by about half / 75
    assert low == pytest.approx(values.mean() - half, abs=half / 10)
    assert high == pytest.approx(values.mean() + half, abs=half / 10)


def test_interval_is_exact_for_two_values():
    # means of two draws from {0, 1}: 0 and 1 with probability 1/4 each, so both lie inside
    assert interval([0.0, 1.0], rng=0) == (0.0, 1.0)


def test_interval_depends_on_its_seed():
    values = np.random.default_rng(1).random(100)
    assert interval(values, rng=5) == interval(values, rng=np.random.default_rng(5))
    assert interval(values, rng=5) != interval(values, rng=6)


def test_interval_does_not_depend_on_the_block_size(monkeypatch):
    values = np.random.default_rng(1).random(100)
    whole = interval(values, rng=5)
    monkeypatch.setattr(metrics, "_BLOCK", 12_345)
    assert interval(values, rng=5) == whole


def test_interval_covers_the_mean_in_about_95_percent():
    # 300 samples of 100: the standard error of the coverage is sqrt(0.95 * 0.05 / 300) = 0.013,
    # and the percentile interval runs a little narrow on 100 values
    rng = np.random.default_rng(3)
    within = 0
    for _ in range(300):
        low, high = interval(rng.binomial(1, 0.6, size=100), rng=rng, resamples=500)
        within += low <= 0.6 <= high
    assert 0.90 <= within / 300 <= 0.99


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]])
def test_interval_of_no_values_or_nan_raises(values: list[float]):
    with pytest.raises(DatasetError, match="finite"):
        interval(values, rng=0)
