"""Queries whose label is not in the library: thresholds and shares worked by hand."""

import pytest

from imgsearch.evaluation.no_match import judge, pool

HITS = [
    [("ü", 0.9, True), ("x", 0.8, False)],
    [("x", 0.7, False), ("ü", 0.6, True)],
    [("x", 0.3, False)],  # its label has no other image
    [("ü", 0.5, True)],  # all hits have its label
]


def test_judge_by_hand():
    found = judge(HITS, 0.65)
    # of three nearest right hits, 0.9 0.6 0.5, one reaches 0.65
    assert found.answered == pytest.approx(1 / 3)
    # of the nearest wrong hits, 0.8 0.7 0.3 and none, two do not
    assert found.rejected == pytest.approx(2 / 4)
    assert found.queries == 4
    low, high = found.rejected_interval
    assert 0 <= low < found.rejected < high <= 1


def test_the_pool_by_hand():
    # right 0.9 | wrong 0.8 0.7 | right 0.6 0.5 | wrong 0.3: from 0.5 on 3 of 5 are right, and from
    # 0.3 on 3 of 6
    assert pool(HITS).lowest(0.6, least=1) == 0.5
    assert pool(HITS).lowest(0.5, least=1) == 0.3
    found = pool(HITS).judge(0.65)
    assert (found.precision, found.queries) == (pytest.approx(1 / 3), 4)


def test_queries_without_hits_are_rejected():
    found = judge([[], []], 0.5)
    assert (found.answered, found.rejected) == (0.0, 1.0)
