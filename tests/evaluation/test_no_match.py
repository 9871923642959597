"""Queries whose label is not in the library: thresholds and shares worked by hand."""

import pytest

from imgsearch.evaluation.no_match import judge, pool

HITS = [
    [("ü", 0.9, True), ("x", 0.8, False)],
    [("x", 0.7, False), ("ü", 0.6, True)],
    [("x", 0.3, False)],  # its label has no other image
    [("ü", 0.5, True)],  # all hits have its label
]


def test_judge_matches_values_worked_by_hand():
    judgment = judge(HITS, 0.65)
    # of three nearest right hits, 0.9 0.6 0.5, one reaches 0.65
    assert judgment.answered == pytest.approx(1 / 3)
    # of the nearest wrong hits, 0.8 0.7 0.3 and a missing one, two do not reach it
    assert judgment.rejected == pytest.approx(2 / 4)
    assert judgment.queries == 4
    low, high = judgment.rejected_interval
    assert 0 <= low < judgment.rejected < high <= 1


def test_pool_matches_values_worked_by_hand():
    # right 0.9 | wrong 0.8 0.7 | right 0.6 0.5 | wrong 0.3: from 0.5 on 3 of 5 are right, and from
    # 0.3 on 3 of 6
    assert pool(HITS).lowest(0.6, least=1) == 0.5
    assert pool(HITS).lowest(0.5, least=1) == 0.3
    judgment = pool(HITS).judge(0.65)
    assert (judgment.precision, judgment.queries) == (pytest.approx(1 / 3), 4)


def test_queries_without_hits_are_rejected():
    judgment = judge([[], []], 0.5)
    assert (judgment.answered, judgment.rejected) == (0.0, 1.0)
