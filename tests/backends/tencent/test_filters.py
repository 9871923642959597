"""Filters in Tencent VectorDB, and filters that it does not support."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

pytest.importorskip("tcvectordb", reason="pip install '.[tencent]'")


from imgsearch.backends import connect
from imgsearch.backends.tencent.filters import check_read, rendered
from imgsearch.errors import (
    BackendError,
    FieldInvalid,
)
from imgsearch.filters import Compare, Field, Filter, comparisons
from imgsearch.testing.contract import test_filters as contract
from imgsearch.testing.contract.bench import Bench, ids, unit
from imgsearch.types import Record
from tests.backends.cloud import TOKEN


@pytest.fixture
def bench(address: str) -> Iterator[Bench]:
    """Return the store as a bench of the contract."""
    bench = Bench("tencent", address, connect(address, token=TOKEN), TOKEN)
    yield bench
    bench.clear()


def orders_texts(where: Filter) -> bool:
    """Return whether a filter orders texts, which the service does not support."""
    return any(
        isinstance(value, str) and operation not in ("==", "!=")
        for _, operation, value in comparisons(where)
    )


def test_every_other_comparison_agrees_with_the_reference(bench: Bench) -> None:
    collection = contract.filled(bench)
    for where in contract.every_comparison():
        if orders_texts(where):
            with pytest.raises(FieldInvalid, match="equality"):
                collection.iterate(where=where)
            with pytest.raises(FieldInvalid, match="equality"):
                collection.count(where)
            continue
        assert sorted(ids(collection.iterate(where=where, vectors=False))) == contract.expected(
            where
        ), where
        assert collection.count(where) == len(contract.expected(where)), where
        (hits,) = collection.search(unit(0)[None], k=50, where=where)
        assert sorted(ids(hits)) == contract.expected(where), where


def test_any_other_tree_agrees_with_the_reference(bench: Bench) -> None:
    collection = contract.filled(bench)

    @settings(
        max_examples=150,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(contract.trees.filter(lambda where: not orders_texts(where)))
    def check(where: Filter) -> None:
        matches = sorted(ids(collection.iterate(where=where, vectors=False)))
        assert matches == contract.expected(where)

    check()


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (Field("t") == 'a"b\\c', r't = "a\"b\\c"'),
        (Field("t") != "金\n🐟'", "t != \"金\n🐟'\""),
        (Field("x") >= -1.5e-7, "x >= -0.00000015"),
        (Field("x") == 1e22, "x = 10000000000000000000000.0"),
        (Field("n").isin([1, -2]), "n in (1, -2)"),
        (Field("yes") == True, "yes = 1"),  # noqa: E712  # makes a filter
        (Field("t").isin([]), 't = "" and t != ""'),
        (~(Field("n") == 1) & (Field("n") < 5) & (Field("n") > 0),
         "(not (n = 1)) and (n < 5) and (n > 0)"),
    ],
)  # fmt: skip
def test_filters_are_translated(where: Filter, text: str) -> None:
    assert rendered(where, {"t": "str", "n": "int", "x": "float", "yes": "bool"}) == text


def test_hit_outside_the_filter_raises() -> None:
    where = Compare("t", "==", 'a"')
    right, wrong = Record("right", None, {"t": 'a"'}), Record("wrong", None, {"t": "a"})
    foreign = Record("foreign", None, {})
    assert check_read(where, [right, foreign]) == [right, foreign]
    with pytest.raises(BackendError, match="wrong"):
        check_read(where, [right, wrong])
