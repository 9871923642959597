"""The filter language, compared with an evaluator that reads trees, not text."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.testing.tencent.codes import Refused
from imgsearch.testing.tencent.filters import parse

TYPES = {"name": "string", "year": "uint64", "shift": "int64", "size": "double", "tags": "array"}

texts = st.text(st.sampled_from('ab"\\\n 猫🐟,()='), max_size=4)
numbers = st.integers(-3, 3) | st.sampled_from([0.5, -1.5, 2.0, 1e20])
rows = st.fixed_dictionaries(
    {},
    optional={
        "name": texts,
        "year": st.integers(0, 3),
        "shift": st.integers(-3, 3),
        "size": st.sampled_from([-1.5, 0.0, 0.5, 1e20]),
        "tags": st.lists(texts, max_size=3),
    },
)


@st.composite
def conditions(draw: Any) -> tuple[Any, ...]:
    field = draw(st.sampled_from(sorted(TYPES)))
    values = numbers if TYPES[field] in ("uint64", "int64", "double") else texts
    if field == "tags":
        sign = draw(st.sampled_from(["include", "include all", "exclude"]))
        return (sign, field, draw(st.lists(values, min_size=1, max_size=3)))
    sign = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "in", "not in"]))
    if sign.endswith("in"):
        return (sign, field, draw(st.lists(values, min_size=1, max_size=3)))
    return (sign, field, draw(values))


trees = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), inner, inner), st.tuples(st.just("not"), inner)
    ),
    max_leaves=12,
)


def literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def written(tree: tuple[Any, ...]) -> str:
    match tree:
        case "not", inner:
            return f"not ({written(inner)})"
        case ("and" | "or") as word, left, right:
            return f"({written(left)}) {word} ({written(right)})"
        case sign, field, list() as values:
            return f"{field} {sign} ({', '.join(map(literal, values))})"
        case sign, field, value:
            return f"{field} {sign} {literal(value)}"
    raise AssertionError(tree)


def holds(tree: tuple[Any, ...], row: dict[str, Any]) -> bool:
    """Evaluate a condition on a row. A missing field meets no condition."""
    match tree:
        case "not", inner:
            return not holds(inner, row)
        case "and", left, right:
            return holds(left, row) and holds(right, row)
        case "or", left, right:
            return holds(left, row) or holds(right, row)
    sign, field, value = tree
    if field not in row:
        return False
    mine = row[field]
    return {
        "=": lambda: mine == value,
        "!=": lambda: mine != value,
        "<": lambda: mine < value,
        "<=": lambda: mine <= value,
        ">": lambda: mine > value,
        ">=": lambda: mine >= value,
        "in": lambda: mine in value,
        "not in": lambda: mine not in value,
        "include": lambda: bool(set(mine) & set(value)),
        "include all": lambda: set(value) <= set(mine),
        "exclude": lambda: not set(mine) & set(value),
    }[sign]()


@given(trees, rows)
def test_filter_text_agrees_with_its_tree(tree, row):
    assert parse(written(tree), TYPES)(row) is holds(tree, row)


@given(st.text(st.sampled_from('name year="\\1.5()<>!, andorti🐟\n'), max_size=30))
def test_any_text_is_parsed_or_rejected(text):
    with suppress(Refused):  # any other exception is a fault
        parse(text, TYPES)({"name": "a", "year": 1})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("year = 1 or year = 2 and name = \"x\"", True),  # and binds closer
        ("(year = 1 or year = 2) and name = \"x\"", False),
        ("not year = 2 and name = \"a\"", True),
        ("not (year = 2) and not not year = 1", True),
        ("(year=1)and(name in(\"b\",\"a\"))", True),
        ("YEAR = 1", None),
        ("year NOT IN (2, 3) AND name != \"b\"", True),
        ("year >= 1e0", True),
        ("size = 1", False),  # the row has no size
        ("size != 1", False),
        ("not size = 1", True),
    ],
)  # fmt: skip
def test_operator_precedence_is_sql(text, expected):
    row = {"name": "a", "year": 1}
    if expected is None:
        with pytest.raises(Refused):
            parse(text, TYPES)
    else:
        assert parse(text, TYPES)(row) is expected


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (15000, ""),
        (15000, "year"),
        (15000, "year ="),
        (15000, "= 1"),
        (15000, "year == 1"),
        (15000, "year = 1 year = 2"),
        (15000, "(year = 1"),
        (15000, "year = 1)"),
        (15000, "year in ()"),
        (15000, "year in 1"),
        (15000, "year not 1"),
        (15000, "year = 1x"),
        (15000, "name = 'a'"),
        (15000, 'name = "a'),
        (15000, 'name = "a\\n"'),
        (15000, 'name = "a" and'),
        (15000, "year = " + "1" * 5000),
        (15000, "(" * 200 + "year = 1" + ")" * 200),
        (14100, "nobody = 1"),
        (14100, 'year = "1"'),
        (14100, "name = 1"),
        (14100, 'tags = "a"'),
        (14100, 'name include ("a")'),
    ],
)
def test_invalid_filters_are_rejected(code, text):
    with pytest.raises(Refused) as error:
        parse(text, TYPES)
    assert error.value.code == code


def test_long_chain_does_not_overflow_the_stack():
    assert parse(" and ".join(["year = 1"] * 5000), TYPES)({"year": 1})
    assert parse("not " * 5000 + "year = 1", TYPES)({"year": 1})
