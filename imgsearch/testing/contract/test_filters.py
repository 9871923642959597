"""Contract tests for filters. All stores must agree with `filters.matches`."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgsearch.backends import Collection
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
)
from imgsearch.testing.contract.bench import NASTY, Bench, ids, unit, vector
from imgsearch.types import Record, Value

KINDS = {"text": "str", "n": "int", "x": "float", "yes": "bool"}
PREFIXES = [
    "", "图", "图片/", "it'", "100%", "1_0", "%", "_", '"', "\\", "C:\\", "🐟", "🐟👩", "x" * 1_000,
    "x" * 1_001, " ", "line\n", "Line", "שלום ", "e", "\U0010ffff", "\ud7ff",
]  # fmt: skip
OPERATIONS = ("==", "!=", "<", "<=", ">", ">=")
NUMBERS = [0, 1, -1, 7, 2**53 + 1, -(2**62), 2**63 - 1]
FLOATS = [0.0, -0.5, 1.0, 1e-7, 1e22, -1.5e300, 0.1, 3.0]
ROWS: list[dict[str, Value]] = [
    {"text": text, "n": NUMBERS[i % 7], "x": FLOATS[i % 8], "yes": i % 3 == 0}
    for i, text in enumerate([*NASTY, ""])
]


def filled(bench: Bench) -> Collection:
    collection = bench.collection(fields=KINDS)  # type: ignore[arg-type]  # literals
    collection.upsert(
        [Record(f"r{i}", vector(1, i, 0, 0), fields) for i, fields in enumerate(ROWS)]
    )
    return collection


def expected(where: Filter) -> list[str]:
    return sorted(f"r{i}" for i, fields in enumerate(ROWS) if matches(where, fields))


def every_comparison() -> Iterator[Filter]:
    for operation in OPERATIONS:
        yield from (Compare("text", operation, text) for text in [*NASTY, "", "M", "图"])  # type: ignore[arg-type]
        yield from (Compare("n", operation, n) for n in [*NUMBERS, 2, -(2**63) + 1])  # type: ignore[arg-type]
        yield from (Compare("x", operation, x) for x in [*FLOATS, 1, -3])  # type: ignore[arg-type]
    for yes in (True, False):
        yield from (Field("yes") == yes, Field("yes") != yes, Field("yes").isin([yes]))
    yield from (Field("text").isin(NASTY[:10]), Field("text").isin([]), ~Field("text").isin([]))
    yield from (Field("n").isin([1, -1]), Field("x").isin([0.1, 3]), ~Field("n").isin([7]))
    yield Field("yes").isin([True, False])
    for text in NASTY:
        yield ~(Field("text") == text) & (Field("yes") == True)  # noqa: E712  # builds a filter
        yield (Field("text") == text) | ~(Field("n") > 0) & (Field("x") < 1.0)


def test_every_comparison_matches_the_reference(bench: Bench) -> None:
    collection = filled(bench)
    for where in every_comparison():
        matching = sorted(ids(collection.iterate(where=where, vectors=False)))
        assert matching == expected(where), where
    for where in list(every_comparison())[::7]:
        assert collection.count(where) == len(expected(where)), where
        (hits,) = collection.search(unit(0)[None], k=50, where=where)
        assert sorted(ids(hits)) == expected(where), where


def test_prefix_compares_the_beginning_of_a_text(bench: Bench) -> None:
    collection = filled(bench)
    edges = ["\ud7ffa", "\ue000", "\U0010ffff\U0010ffffb", "a\U0010ffffb", "b", "a%b", "a_b", "axb"]
    collection.upsert([Record(f"e{i}", unit(1), {"text": text}) for i, text in enumerate(edges)])
    texts = {f"e{i}": text for i, text in enumerate(edges)}
    texts |= {f"r{i}": str(fields["text"]) for i, fields in enumerate(ROWS)}
    for prefix in [*PREFIXES, *NASTY, "a\U0010ffff", "a%", "a_", "a"]:
        where = Field("text").startswith(prefix)
        begin = sorted(name for name, text in texts.items() if text[: len(prefix)] == prefix)
        assert sorted(ids(collection.iterate(where=where, vectors=False))) == begin, prefix
        assert collection.count(~where) == len(texts) - len(begin), prefix
    (hits,) = collection.search(unit(0)[None], k=50, where=Field("text").startswith("图"))
    assert [hit.fields["text"] for hit in hits] == ["图片/金鱼 №1.jpg"]


PATHS = [
    "/fotos/2019/mai/1.jpg", "/fotos/2019/2.JPG", "/fotos/2019", "/fotos/2019b/3.jpg",
    "/fotos/K 100%/[a]_1.jpg", "/fotos/caf\u00e9/4.jpg", "/fotos/cafe\u0301/5.jpg",
    "/fotos/zeile\n/6.jpg", "C:\\fotos\\2019\\7.jpg", "",
]  # fmt: skip
PATH_FILTERS: list[tuple[Filter, list[int]]] = [
    (Field("path").under("/fotos/2019"), [0, 1]),
    (Field("path").under("/fotos/2019/"), [0, 1]),
    (Field("path").under("/"), [0, 1, 2, 3, 4, 5, 6, 7]),
    (Field("path").under("/fotos/caf\u00e9"), [5, 6]),
    (Field("path").under("C:\\fotos"), [8]),
    (Field("path").under("fotos"), []),
    (Field("path").glob("*.jpg"), [0, 3, 4, 5, 6, 7, 8]),
    (Field("path").glob("/fotos/2019/*"), [0, 1]),
    (Field("path").glob("/fotos/caf?/*"), [5, 6]),
    (Field("path").glob("/fotos/[!2]*/*.jpg"), [4, 5, 6, 7]),
    (Field("path").glob("/fotos/K 100%/[[]a]_1.jpg"), [4]),
    (Field("path").glob("*"), list(range(10))),
    (Field("path").glob(""), [9]),
    (Field("path").like("%100\\%/[a]\\_1.jpg"), [4]),
    (Field("path").like("/fotos/20__%"), [0, 1, 2, 3]),
    (Field("path").isnull(), [9]),
    (Field("path").isnull() | Field("path").under("/fotos/2019"), [0, 1, 9]),
    (Field("path").glob("*.jpg") & ~Field("path").under("/fotos"), [8]),
    (Field("path").glob("*.jpg") & (Field("n") < 5), [0, 3, 4]),
    (~Field("path").glob("*.jpg") & ~Field("path").isnull(), [1, 2]),
    (Field("n").isnull(), [0]),
    (Field("x").isnull(), list(range(10))),
]


def test_folders_globs_and_nulls_select_paths(bench: Bench) -> None:
    collection = bench.collection(fields={"path": "str", "n": "int", "x": "float"})
    collection.upsert(
        [
            Record(f"r{n}", vector(1, n, 0, 0), {"path": path, "n": n})
            for n, path in enumerate(PATHS)
        ]
    )
    for where, rows in PATH_FILTERS:
        wanted = [f"r{n}" for n in rows]
        assert sorted(ids(collection.iterate(where=where, vectors=False))) == wanted, where
        assert collection.count(where) == len(rows), where
        hits, nearest = collection.search(np.stack([unit(0), unit(1)]), k=2, where=where)
        assert ids(hits) == wanted[:2], where  # r0 is nearest to the first query
        assert ids(nearest) == wanted[::-1][:2], where


@pytest.mark.parametrize("form", ["expression", "text", "dictionary"])
def test_three_forms_of_a_filter_select_the_same(bench: Bench, form: str) -> None:
    collection = filled(bench)
    where = {
        "expression": (Field("n") > 0) & Field("text").isin(["tab\there", "it's"]),
        "text": r"""n > 0 and text in ('tab	here', 'it\'s')""",
        "dictionary": {"n": {">": 0}, "text": ["tab\there", "it's"]},
    }[form]
    expression = (Field("n") > 0) & Field("text").isin(["tab\there", "it's"])
    assert sorted(ids(collection.iterate(where=where, vectors=False))) == expected(expression)
    assert collection.count(where) == len(expected(expression)) == 1
    (hits,) = collection.search(unit(0)[None], where=where)
    assert ids(hits) == expected(expression)


@pytest.mark.parametrize("where", ["n >", {"n": {"~": 1}}, {}, 5, ["n"]])
def test_what_is_no_filter_is_refused(bench: Bench, where: Any) -> None:
    with pytest.raises(FieldInvalid):
        bench.empty().count(where)


@pytest.mark.parametrize("where", [Field("n").startswith("1"), ~Field("no").startswith("")])
def test_prefix_of_a_number_is_refused(bench: Bench, where: Filter) -> None:
    with pytest.raises(FieldInvalid):
        bench.empty().count(where)


def test_filter_applies_before_k(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert([Record(f"r{i}", vector(1, i, 0, 0), {"n": i}) for i in range(100)])
    (hits,) = collection.search(unit(0)[None], k=3, where=Field("n") >= 90)
    assert ids(hits) == ["r90", "r91", "r92"]
    collection.flush()
    (hits,) = collection.search(unit(0)[None], k=3, where=Field("n") >= 90)
    assert ids(hits) == ["r90", "r91", "r92"]


def test_missing_field_is_found_by_its_zero(bench: Bench) -> None:
    collection = bench.collection(fields=KINDS)  # type: ignore[arg-type]  # literals
    collection.upsert([Record("bare", unit(0)), Record("full", unit(1), {**ROWS[9]})])
    assert ids(collection.iterate(where=Field("text") == "")) == ["bare"]
    assert ids(collection.iterate(where=~(Field("text") == ""))) == ["full"]
    assert ids(collection.iterate(where=Field("n") == 0)) == ["bare"]


def test_long_chains_are_understood(bench: Bench) -> None:
    collection = filled(bench)
    either: Filter = Field("n") == 1
    for number in range(2, 200):
        either |= Field("n") == number
    assert sorted(ids(collection.iterate(where=either))) == expected(either)
    many = Field("text").isin([f"нет {i}" for i in range(2_000)] + NASTY[:1])
    assert ids(collection.iterate(where=many)) == ["r0"]


@pytest.mark.parametrize(
    "where",
    [
        Field("yes").isnull(),
        Field("other").isnull(),
        Field("n").under("1"),
        Field("text").glob("nul\0*"),
        Field("other") == 1,
        Field("id") == "r0",
        Field("text") == 1,
        Field("n") == "1",
        Field("n") == 1.5,
        Field("n") > True,
        Field("n") > 2**63,
        Field("x") == "1",
        Compare("x", "<", math.nan),
        Field("yes") == 1,
        Field("yes") < True,
        Field("text") == "nul\0",
        Field("text") == "\ud800",
        Field("text").isin(["a", 1]),
        ~(Field("n") == 1) | (Field("other") == 1),
    ],
    ids=repr,
)
def test_filter_that_does_not_fit_the_schema_is_refused(bench: Bench, where: Filter) -> None:
    collection = bench.empty(fields=KINDS)  # type: ignore[arg-type]  # literals
    with pytest.raises(FieldInvalid):
        collection.search(unit(0)[None], where=where)
    with pytest.raises(FieldInvalid):
        collection.count(where)
    with pytest.raises(FieldInvalid):
        collection.iterate(where=where)


texts = st.sampled_from(NASTY) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6
)
leaves = st.one_of(
    st.builds(Compare, st.just("text"), st.sampled_from(OPERATIONS), texts),
    st.builds(Compare, st.just("n"), st.sampled_from(OPERATIONS), st.sampled_from(NUMBERS)),
    st.builds(Compare, st.just("x"), st.sampled_from(OPERATIONS), st.sampled_from(FLOATS)),
    st.builds(Compare, st.just("yes"), st.sampled_from(["==", "!="]), st.booleans()),
    st.builds(StartsWith, st.just("text"), texts | st.sampled_from(PREFIXES)),
    st.builds(Under, st.just("text"), st.sampled_from(["", "/", "图片", "C:\\new"])),
    st.builds(Glob, st.just("text"), texts | st.sampled_from(["*", "?*", "*e*", "[!i]*", "1*%*"])),
    st.builds(IsNull, st.sampled_from(["text", "n", "x"])),
    st.builds(In, st.just("text"), st.lists(texts, max_size=3).map(tuple)),
    st.builds(In, st.just("n"), st.lists(st.sampled_from(NUMBERS), max_size=3).map(tuple)),
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.builds(And, inner, inner) | st.builds(Or, inner, inner) | st.builds(Not, inner)
    ),
    max_leaves=6,
)


def test_any_tree_matches_the_reference(bench: Bench) -> None:
    collection = filled(bench)

    @settings(
        max_examples=150,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(trees)
    def check(where: Filter) -> None:
        assert sorted(ids(collection.iterate(where=where, vectors=False))) == expected(where)

    check()


def test_texts_are_found_in_either_form_of_unicode(bench: Bench) -> None:
    collection = bench.collection(fields={"text": "str"})
    texts = {"nfc": "caf\u00e9", "nfd": "cafe\u0301", "plain": "cafe", "other": "Käfer"}
    collection.upsert(
        [
            Record(name, vector(1, i, 0, 0), {"text": text})
            for i, (name, text) in enumerate(texts.items())
        ]
    )
    for text in (texts["nfc"], texts["nfd"]):
        field = Field("text")
        matching = {
            where: sorted(ids(collection.iterate(where=condition, vectors=False)))
            for where, condition in {
                "==": field == text,
                "!=": field != text,
                "in": field.isin([text, "cafe"]),
                "not in": ~field.isin([text, "cafe"]) & (field != "x"),
            }.items()
        }
        assert matching == {
            "==": ["nfc", "nfd"],
            "!=": ["other", "plain"],
            "in": ["nfc", "nfd", "plain"],
            "not in": ["other"],
        }
        assert collection.count(field == text) == 2
        (hits,) = collection.search(unit(0)[None], k=9, where=(field == text) | (field == "no"))
        assert sorted(ids(hits)) == ["nfc", "nfd"]
        assert collection.count(field.startswith(text)) == 2
