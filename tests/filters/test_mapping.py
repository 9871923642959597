"""Filters as JSON: every tree round-trips, and invalid JSON is rejected with its position."""

import json
from functools import reduce
from operator import and_

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.errors import FieldInvalid
from imgsearch.filters import (
    And,
    Compare,
    Field,
    Filter,
    Glob,
    In,
    IsNull,
    Not,
    Or,
    StartsWith,
    Under,
    matches,
    to_filter,
)
from imgsearch.filters.mapping import from_json, to_json

NAMES = ("label", "jahr", "größe", "neu")
values = st.one_of(
    st.text(max_size=3), st.integers(-3, 3), st.floats(allow_nan=False, width=16), st.booleans()
).filter(lambda value: value not in (float("inf"), float("-inf")))
names = st.sampled_from(NAMES)
equal = st.builds(Compare, names, st.sampled_from(["==", "!="]), values)
ordered = st.builds(
    Compare, st.just("jahr"), st.sampled_from(["<", "<=", ">", ">="]), st.integers()
)
conditions = (
    equal
    | ordered
    | st.builds(In, names, st.lists(values, max_size=4).map(tuple))
    | st.builds(StartsWith, names, st.text(max_size=2))
    | st.builds(Under, names, st.text(max_size=2))
    | st.builds(Glob, names, st.text("a*?[]!", max_size=4))
    | st.builds(IsNull, names)
)
trees = st.recursive(
    conditions,
    lambda inner: (
        st.builds(And, inner, inner) | st.builds(Or, inner, inner) | st.builds(Not, inner)
    ),
    max_leaves=12,
).filter(lambda where: depth(where) <= 16)
records = st.fixed_dictionaries({
    "label": st.text(max_size=3), "jahr": st.integers(), "größe": values, "neu": st.booleans()
})  # fmt: skip


def depth(where: Filter) -> int:
    match where:
        case And(left, right) | Or(left, right):
            return 1 + max(depth(left), depth(right))
        case Not(inner):
            return 1 + depth(inner)
    return 1


def condition(op="==", value="Käfer", field="label"):
    return {"field": field, "op": op, "value": value}


@settings(deadline=None)  # the machine may be busy
@given(trees, st.lists(records, min_size=1, max_size=4))
def test_every_filter_round_trips(where, rows):
    text = json.dumps(to_json(where))
    back = from_json(text)
    assert [matches(back, row) for row in rows] == [matches(where, row) for row in rows]
    assert json.dumps(to_json(back)) == text  # 1, 1.0 and true stay distinct


def test_filter_has_the_documented_json():
    label, year = Field("label"), Field("year")
    where = (label == "goldfish") & (year >= 2020) & ~label.isin(["Käfer", "犬"]) | (year < 0.5)
    assert to_json(where) == {
        "any": [
            {
                "all": [
                    {"field": "label", "op": "==", "value": "goldfish"},
                    {"field": "year", "op": ">=", "value": 2020},
                    {"not": {"field": "label", "op": "in", "value": ["Käfer", "犬"]}},
                ]
            },
            {"field": "year", "op": "<", "value": 0.5},
        ]
    }
    assert from_json(condition("startswith", "/photos/")) == StartsWith("label", "/photos/")
    assert from_json({"all": [condition()]}) == Compare("label", "==", "Käfer")


def test_long_chain_becomes_a_flat_tree():
    chain = reduce(and_, [Field("n") != n for n in range(900)])
    back = from_json(to_json(chain))
    assert depth(back) == 11  # 2 ** 10 >= 900, and the leaves
    assert matches(back, {"n": 900})
    assert not matches(back, {"n": 77})


LABEL, YEAR = Field("label"), Field("year")


@pytest.mark.parametrize(
    ("short", "where"),
    [
        ({"label": "猫"}, LABEL == "猫"),
        ({"label": ["a", "b"]}, LABEL.isin(["a", "b"])),
        ({"label": ("a",)}, LABEL.isin(["a"])),
        ({"label": None}, LABEL.isnull()),
        ({"label": "a", "year": {">=": 2019, "<": 2024}},
         (LABEL == "a") & ((YEAR >= 2019) & (YEAR < 2024))),
        ({"label": {"not in": ["a"]}}, ~LABEL.isin(["a"])),
        ({"path": {"under": "/a"}}, Field("path").under("/a")),
        ({"path": {"like": "%_.jpg"}}, Field("path").glob("*?.jpg")),
        ({"path": {"glob": "*.jpg", "startswith": "/a"}},
         Field("path").glob("*.jpg") & Field("path").startswith("/a")),
        ({"label": {"null": False}}, ~LABEL.isnull()),
        ({"any": [{"label": "a"}, {"not": {"year": 3}}]}, (LABEL == "a") | ~(YEAR == 3)),
        ({"all": ["a", "b"]}, Field("all").isin(["a", "b"])),  # a field called "all"
    ],
)  # fmt: skip
def test_short_form_names_fields_as_keys(short, where):
    assert to_filter(short) == where
    assert from_json(to_json(where)) == where


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (None, ""),
        ([], ""),
        (7, ""),
        ("{", ""),
        ("[" * 100_000, ""),
        ('{"not": ' * 100_000, ""),
        ("1" * 5_000, ""),
        ('{"field": "a", "op": "==", "value": 1, "value": 2}', ""),
        ({}, ""),
        ({"all": [condition()], "any": [condition()]}, ""),
        ({"field": "label", "op": "=="}, ""),
        ({**condition(), "extra": 1}, ""),
        (condition(field=3), "/field"),
        ({"label": {"~": 1}}, "/label"),
        ({"a/b": {"in": "x"}}, "/a~1b/in"),
        ({"label": {}}, "/label"),
        ({"label": [None]}, "/label/0"),
        ({"year": {"null": 1}}, "/year/null"),
        ({3: 1}, "/3"),
        ({"label": "a", "year": {"under": 3}}, "/year/under"),
        (condition(field=""), "/field"),
        (condition(field="f" * 65), "/field"),
        ({"all": []}, "/all"),
        ({"any": {}}, "/any"),
        ({"all": [condition(), {"not": {"any": [condition("~")]}}]}, "/all/1/not/any/0/op"),
        (condition(op=["=="]), "/op"),
        (condition(op="=== 1 or 1 =="), "/op"),
        (condition(value=None), "/value"),
        (condition(value={"$ne": ""}), "/value"),
        (condition(value=float("nan")), "/value"),
        ('{"field": "a", "op": "<", "value": 1e999}', "/value"),
        (condition("in", "Käfer"), "/value"),
        (condition("in", ["Käfer", ["x"]]), "/value/1"),
        (condition("startswith", 3), "/value"),
        (condition("in", list(range(1_000))), "/value"),
        ({"any": [condition("in", [])] * 1_000}, "/any/999"),
        (reduce(lambda inner, _: {"not": inner}, range(16), condition()), "/not" * 16),
    ],
)
def test_invalid_filter_is_rejected_with_its_position(value, place):
    with pytest.raises(FieldInvalid) as caught:
        from_json(value)
    assert str(caught.value).startswith(f"filter {place}: " if place else "filter: ")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "where",
    [
        Field("n") == float("inf"),
        Field("n") == b"bytes",
        reduce(lambda inner, _: ~inner, range(5_000), Field("n") == 1),
        reduce(and_, [Field("n") != n for n in range(1_500)]),
    ],
    ids=["infinity", "bytes", "deep", "long"],
)
def test_invalid_filter_is_not_sent(where):
    with pytest.raises(FieldInvalid):
        to_json(where)


def test_only_filters_are_converted():
    with pytest.raises(TypeError, match="not a filter"):
        to_json("label == 3")
