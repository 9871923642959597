"""Two runs over the same queries, and the test of significance."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.datasets.dataset import load as load_dataset
from imgsearch.errors import DatasetError
from imgsearch.evaluation import comparison
from imgsearch.evaluation.comparison import differences, paired_difference, randomization_test
from imgsearch.evaluation.evaluator import evaluate
from tests.pictures import write


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    write(root / "eins/katze", 6)
    write(root / "eins/hund", 6, start=6)
    write(root / "zwei/ñandú", 4, start=30)
    return root


@pytest.fixture(scope="module")
def runs(sets):
    dataset = load_dataset(sets / "eins")
    return {model: evaluate(dataset, model=model) for model in ("classic", "lite")}


def test_three_gains_by_hand():
    """Of the eight ways to sign 1, 2 and 3, two give a sum of 6 or -6."""
    assert randomization_test([1.0, 2.0, 3.0], rng=0) == 2 / 8
    assert randomization_test([1.0, 2.0, -3.0], rng=0) == 1.0


def test_equal_queries_do_not_change_the_p_value():
    assert randomization_test([0.0, 0.0, 1.0, 2.0, 3.0], rng=0) == 2 / 8
    assert randomization_test([0.0, 0.0], rng=0) == 1.0


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=9))
def test_up_to_fourteen_differences_all_signs_are_tried(values):
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, values, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    exact = np.mean(np.array(sums) >= abs(sum(values)) - 1e-9)
    near = np.mean(np.array(sums) >= abs(sum(values)) + 1e-9)
    assert near - 1e-12 <= randomization_test(values, rng=0) <= exact + 1e-12


@pytest.mark.long
def test_many_differences_agree_with_scipy():
    from scipy.stats import permutation_test

    apart = np.random.default_rng(5).normal(0.05, 0.3, size=100)
    theirs = permutation_test(
        (apart, np.zeros(100)),
        lambda one, other: np.mean(one - other),
        permutation_type="samples",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).pvalue
    ours = randomization_test(apart, rng=2, resamples=20_000)
    assert ours == pytest.approx(theirs, abs=4 * (theirs * (1 - theirs) / 20_000) ** 0.5)


def test_p_value_is_never_zero():
    assert randomization_test(np.full(40, 0.5), rng=0, resamples=1_000) == pytest.approx(1 / 1_001)


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf, 1.0]])
def test_invalid_differences_are_rejected(values):
    with pytest.raises(DatasetError, match="finite"):
        randomization_test(values, rng=0)


def test_paired_test_detects_what_intervals_do_not():
    """Queries differ far more from each other than the two systems do on any of them."""
    hard = np.linspace(0, 0.9, 100)
    better = paired_difference("precision@10", hard, hard + 0.02)
    assert (better.difference, better.n) == (pytest.approx(0.02), 100)
    assert better.low == pytest.approx(0.02)
    assert better.p < 0.001


def test_run_does_not_differ_from_itself(runs):
    for difference in differences(runs["classic"], runs["classic"]):
        assert (difference.difference, difference.low, difference.high, difference.p) == (
            0,
            0,
            0,
            1,
        )


def test_two_models_are_paired_by_query(runs):
    first, second = runs["classic"], runs["lite"]
    by_name = {compared.measure: compared for compared in differences(first, second)}
    assert by_name.keys() == first.measures.metrics.keys()
    for name, compared in by_name.items():
        assert compared.first == pytest.approx(first.measures.metrics[name])
        assert compared.second == pytest.approx(second.measures.metrics[name])
        assert compared.low <= compared.difference <= compared.high
        assert compared.n == 12


def test_order_of_the_queries_does_not_matter(runs):
    from dataclasses import replace

    run = runs["lite"]
    turned = replace(
        run,
        answers=run.answers[::-1],
        measures=replace(
            run.measures,
            per_query={name: values[::-1] for name, values in run.measures.per_query.items()},
        ),
    )
    assert differences(runs["classic"], turned) == pytest.approx(differences(runs["classic"], run))


def test_other_images_cannot_be_compared(runs, sets):
    other = evaluate(load_dataset(sets / "zwei"), model="classic")
    with pytest.raises(DatasetError, match="images or queries differ"):
        differences(runs["classic"], other)


def test_table_compares_every_run_with_the_first(runs):
    table = comparison.table(runs, measures=["hit@1", "map@10"])
    assert table["measure"].tolist() == ["hit@1", "map@10"]
    assert set(table["first"]) == {"classic"}
    assert set(table["second"]) == {"lite"}
    assert table["difference"].tolist() == pytest.approx((table["b"] - table["a"]).tolist())
