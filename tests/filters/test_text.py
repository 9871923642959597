"""Filters as texts: the grammar, its limits, and the column of each fault."""

from contextlib import suppress
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.errors import FieldInvalid
from imgsearch.filters import Field, Filter, to_filter
from imgsearch.filters.text import LONGEST, parse

YEAR, LABEL, PATH = Field("year"), Field("label"), Field("path")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("year >= 2019 and label in ('cat', 'dog')",
         (YEAR >= 2019) & LABEL.isin(["cat", "dog"])),
        ("label = cat", LABEL == "cat"),
        ("label==猫", LABEL == "猫"),
        ("label != 'cat' or year<2000", (LABEL != "cat") | (YEAR < 2000)),
        ("label <> cat", LABEL != "cat"),
        # "and" binds more closely than "or", "not" more closely than "and"
        ("a=1 or b=2 and not c=3", (Field("a") == 1) | (Field("b") == 2) & ~(Field("c") == 3)),
        ("(a=1 or b=2) and c=3", ((Field("a") == 1) | (Field("b") == 2)) & (Field("c") == 3)),
        ("not (a=1)", ~(Field("a") == 1)),
        ("NOT a = 1 AND b IN [1, 2]", ~(Field("a") == 1) & Field("b").isin([1, 2])),
        ("label not in ()", ~LABEL.isin([])),
        ("label is null", LABEL.isnull()),
        ("label is not null", ~LABEL.isnull()),
        ("path under photos/2019", PATH.under("photos/2019")),
        (r"path under 'C:\photos'", PATH.under(r"C:\photos")),
        ("path not startswith /a", ~PATH.startswith("/a")),
        ("path startswith 2019", PATH.startswith("2019")),
        ("path glob *.jpg", PATH.glob("*.jpg")),
        ("path like '%.jp_g'", PATH.glob("*.jp?g")),
        (r"label = 'it\'s'", LABEL == "it's"),
        ('label = "it\'s"', LABEL == "it's"),
        (r"label = 'a\\'", LABEL == "a\\"),
        ("label = ' and or not '", LABEL == " and or not "),
        ("label = ''", LABEL == ""),
        ("label = '2019'", LABEL == "2019"),
        ("label = 2019-05-01", LABEL == "2019-05-01"),
        ("x in (1, -2, 3.5, 1e3, .5)", Field("x").isin([1, -2, 3.5, 1000.0, 0.5])),
        ("seen = true and kept != FALSE", (Field("seen") == True) & (Field("kept") != False)),  # noqa: E712
        ("label = n01440764", LABEL == "n01440764"),
        ("label\n=\tcat", LABEL == "cat"),
    ],
)  # fmt: skip
def test_text_is_parsed(text, where):
    parsed = to_filter(text)
    assert parsed == where
    assert repr(parsed) == repr(where)  # 1 == True


@pytest.mark.parametrize(
    ("text", "column", "why"),
    [
        ("", 1, "a field"),
        ("   ", 4, "a field"),
        ("year", 5, "="),
        ("year >", 7, "a value"),
        ("year > 2019 nd label = cat", 13, "and, or or the end"),
        ("label = white dog", 15, "and, or or the end"),
        ("(a = 1", 7, "and, or or \\)"),
        ("a = 1)", 6, "and, or or the end"),
        ("label = 'cat", 9, "not closed"),
        (r"label = 'C:\'", 9, "not closed"),
        ("label ! cat", 7, "unexpected"),
        ("label = null", 9, "is null"),
        ("label is 3", 10, "null"),
        ("label = and", 9, "a value"),
        ("a in (1,,2)", 9, "a value"),
        ("a in (1 2)", 9, ", or \\)"),
        ("a in [1)", 8, ", or \\]"),
        ("a in 1", 6, "a list"),
        ("a not 5", 7, "in, startswith"),
        ("'a' = 5", 1, "a field"),
        ("x = 1e999", 5, "too large"),
        ("a = 1 and", 10, "a field"),
        ("(" * 100_00, 17, "16 deep"),
        ("not " * 1_000 + "a = 1", 65, "16 deep"),
    ],
)
def test_fault_is_named_with_its_column(text, column, why):
    with pytest.raises(FieldInvalid, match=why) as caught:
        parse(text)
    assert str(caught.value).startswith(f"filter, column {column}: ")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "a = 1 or " * 1_000 + "a = 1",
        f"a in ({'1,' * 1_000}1)",
        "a = '" + "x" * LONGEST + "'",
        reduce(lambda inner, _: f"({inner} or b=2) and c=3", range(9), "a=1"),
    ],
    ids=["conditions", "values", "characters", "levels"],
)
def test_large_text_is_refused(text):
    with pytest.raises(FieldInvalid, match=r"at most|above"):
        parse(text)


@settings(deadline=None)
@given(st.text("ab=<>!'\"\\()[], 1.-e\0\n" + "é", max_size=30) | st.text(max_size=20))
def test_any_text_is_parsed_or_refused(text):
    with suppress(FieldInvalid):
        assert isinstance(to_filter(text), Filter)


@given(st.text(max_size=20))
def test_every_text_can_be_quoted(text):
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    assert parse(f"label = '{escaped}'") == (text == LABEL)


@pytest.mark.parametrize("where", [5, ["a"], b"a = 1", True, object()])
def test_other_types_are_refused(where):
    with pytest.raises(FieldInvalid, match="an expression, a text or a dict"):
        to_filter(where)
