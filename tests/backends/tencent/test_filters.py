"""Filters in Tencent VectorDB's language, and conditions that it lacks."""

import pytest

pytest.importorskip("tcvectordb", reason="pip install '.[tencent]'")


from imgsearch.backends.filter_plan import weakened
from imgsearch.backends.tencent.filters import check_read, rendered, translates
from imgsearch.errors import BackendError
from imgsearch.filters import Compare, Field, Filter
from imgsearch.types import Record


@pytest.mark.parametrize(
    ("where", "native"),
    [
        (Field("t") >= "b", None),
        ((Field("t") >= "b") & (Field("n") > 1), Field("n") > 1),
        (Field("t").glob("b*") | (Field("n") > 1), None),
        (Field("t").startswith("b") & ~(Field("t") == "bc"), ~(Field("t") == "bc")),
    ],
)
def test_service_gets_the_part_that_its_language_has(where: Filter, native: Filter | None) -> None:
    assert weakened(where, translates) == native


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
