"""Conditions on paths, globs and nulls: the reference semantics, and wider prefixes."""

from fnmatch import fnmatchcase
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.filters import Field, Glob, Under, matches
from imgsearch.testing.contract.test_filters import PATH_FILTERS, PATHS


@pytest.mark.parametrize(
    ("folder", "prefix"),
    [
        ("/a/b", "/a/b/"), ("/a/b/", "/a/b/"), ("/", "/"), ("", ""), ("a", "a/"),
        ("C:\\a", "C:\\a\\"), ("C:\\a\\", "C:\\a\\"), ("C:/a", "C:/a/"),
    ],
)  # fmt: skip
def test_folder_is_a_prefix_with_a_separator(folder, prefix):
    assert Under("path", folder).prefix().prefix == prefix


@pytest.mark.parametrize(
    ("pattern", "glob"),
    [
        ("%a_", "*a?"), (r"100\%", "100%"), (r"a\_b", "a_b"), (r"\\", "\\"), ("a\\b", "a\\b"),
        ("[*?]", "[[][*][?]]"), ("", ""), ("\\", "\\"),
    ],
)  # fmt: skip
def test_pattern_of_sql_becomes_a_glob(pattern, glob):
    assert Field("path").like(pattern) == Glob("path", glob)


@pytest.mark.parametrize(
    ("value", "null"), [("", True), (0, True), (0.0, True), ("0", False), (" ", False), (3, False)]
)
def test_zero_of_a_type_is_null(value, null):
    assert matches(Field("a").isnull(), {"a": value}) is null


def test_missing_field_is_null():
    assert matches(Field("a").isnull(), {})


@pytest.mark.parametrize(("where", "rows"), PATH_FILTERS, ids=lambda it: repr(it)[:60])
def test_reference_selects_the_rows_of_the_contract(where, rows):
    fields = [{"path": normalize("NFC", path), "n": n, "x": 0.0} for n, path in enumerate(PATHS)]
    assert [n for n, row in enumerate(fields) if matches(where, row)] == rows


letters = st.text("aK\u212a;\u037e*?[]!e\u0301\u00e9/", max_size=6)


@given(letters, letters)
def test_prefix_of_a_glob_is_wider(pattern, text):
    glob = Glob("a", pattern)
    assert matches(glob, {"a": text}) == fnmatchcase(
        normalize("NFC", text), normalize("NFC", pattern)
    )
    if matches(glob, {"a": text}):
        assert matches(glob.prefix(), {"a": text})
