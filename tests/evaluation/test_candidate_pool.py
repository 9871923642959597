"""Thresholds from judged pairs, compared with numbers worked by hand."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.errors import DatasetError, PrecisionUnreached
from imgsearch.evaluation.candidate_pool import Pool

# In order of the scores: 0.9 right, 0.8 wrong, 0.7 right, 0.7 right, 0.5 wrong, 0.4 right. So the
# precisions are 1/1, 1/2, (two of one score) 3/4, 3/5, 4/6.
BY_HAND = Pool.of(
    [
        [(0.9, True, 1), (0.8, False, 1), (0.4, True, 1)],
        [(0.7, True, 1), (0.7, True, 1), (0.5, False, 1)],
    ]
)


def test_lowest_threshold_reaches_the_precision_by_hand():
    assert BY_HAND.lowest(0.75, least=1) == 0.7
    assert BY_HAND.lowest(0.65, least=1) == 0.4  # 4/6, although 0.5 has only 3/5
    assert BY_HAND.lowest(1.0, least=1) == 0.9
    assert BY_HAND.lowest(0.75, least=4) == 0.7  # four pairs reach it


def test_equal_scores_are_judged_together():
    tied = Pool.of([[(0.7, True, 1), (0.7, False, 1), (0.6, False, 1)]])
    assert tied.lowest(0.5, least=1) == 0.7
    with pytest.raises(PrecisionUnreached):  # only the correct one of the two would give 1.0
        tied.lowest(0.6, least=1)


def test_unreached_precision_reports_the_best():
    with pytest.raises(
        PrecisionUnreached, match=r"0\.9 on 2 queries with 6 pairs.*0\.750"
    ) as error:
        BY_HAND.lowest(0.9, least=2)
    assert error.value.best == 0.75
    assert pickle.loads(pickle.dumps(error.value)).best == 0.75  # noqa: S301 - our own
    with pytest.raises(PrecisionUnreached, match=r"0\.000"):
        Pool.of([]).lowest(0.5)


def test_single_pair_is_not_enough():
    lucky = Pool.of([[(0.99, True, 1)], *[[(0.5, False, 1)]] * 20])
    with pytest.raises(PrecisionUnreached):
        lucky.lowest(0.9)


def test_threshold_is_judged_by_hand():
    judgment = BY_HAND.judge(0.7)
    assert (judgment.precision, judgment.recall, judgment.pairs, judgment.queries) == (
        3 / 4,
        3 / 4,
        4,
        2,
    )
    # resampled, the two queries are both the first (1/2 of 2 right), both the second (2/2), or
    # one of each: 1/4, 1/4 and 1/2 of the draws, so the interval ends at their values
    assert judgment.precision_interval == (1 / 2, 1)
    assert judgment.recall_interval == (1 / 2, 1)
    nothing = BY_HAND.judge(0.95)
    assert (nothing.precision, nothing.recall, nothing.pairs) == (0, 0, 0)


def test_weights_count_and_rare_right_pairs_count_less():
    # 14 changes of one original, 7 of them above; two other images, one above: with every change
    # weighing 1/14 that is 0.5 right and 1 wrong above, and at a tenth of the copies 0.05 and 1
    row = [(0.9, True, 1 / 14)] * 7 + [(0.1, True, 1 / 14)] * 7
    pool = Pool.of([[*row, (0.8, False, 1), (0.2, False, 1)]])
    assert pool.judge(0.5).precision == pytest.approx(0.5 / 1.5)
    assert pool.judge(0.5, share=0.1).precision == pytest.approx(0.05 / 1.05)
    assert pool.judge(0.5, share=0.1).recall == pytest.approx(0.5)


def test_invalid_pools_are_rejected():
    with pytest.raises(DatasetError, match="finite"):
        Pool.of([[(float("nan"), True, 1)]])
    with pytest.raises(DatasetError, match="below 0"):
        Pool.of([[(0.5, True, -1)]])
    with pytest.raises(DatasetError, match="one shape"):
        Pool(np.zeros((1, 2)), np.zeros((1, 3), bool), np.zeros((1, 2)))


pairs = st.lists(
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.7]), st.booleans()), max_size=6),
    max_size=8,
)


@given(pairs, st.sampled_from([0.3, 0.5, 0.8, 1.0]), st.integers(1, 4))
def test_threshold_agrees_with_a_linear_search(rows, precision, least):
    flat = [pair for row in rows for pair in row]

    def reached(threshold):
        kept = [right for score, right in flat if score >= threshold]
        return len(kept) >= least and sum(kept) / len(kept) >= precision - 1e-9

    expected = min((score for score, _ in flat if reached(score)), default=None)
    pool = Pool.of([[(score, right, 1.0) for score, right in row] for row in rows])
    if expected is None:
        with pytest.raises(PrecisionUnreached):
            pool.lowest(precision, least=least)
    else:
        assert pool.lowest(precision, least=least) == expected
