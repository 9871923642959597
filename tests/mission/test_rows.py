"""The list of features is complete, its tests exist, and the page shows it."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tools import mission

TESTS = Path(__file__).parents[1]
ROWS = mission.read()["row"]
# the numbers of rows of each system
SIZES = {"S0": 19, "S1": 11, "S2": 19, "S3": 19, "S4": 14}


@cache
def functions(file):
    """Return the names of a file's test functions."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_is_listed_once():
    expected = [f"{system}.{n}" for system, size in SIZES.items() for n in range(1, size + 1)]
    assert [row["id"] for row in ROWS] == expected
    assert len(ROWS) == 82


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_row_has_tests_that_exist_and_reasons(row):
    assert row["status"] in ("works", "open", "never")
    assert ("reason" in row) == (row["status"] != "works")
    assert row["tests"] or row["status"] == "never"
    for test in row["tests"]:
        file, _, function = test.partition("::")
        assert (TESTS / file).is_file(), test
        if function:
            assert function in functions(file), test


def test_every_test_of_this_folder_is_named():
    named = {test for row in ROWS for test in row["tests"]}
    for path in Path(__file__).parent.glob("test_s*.py"):
        for function in functions(f"mission/{path.name}"):
            if function.startswith("test_"):
                assert f"mission/{path.name}::{function}" in named


def test_page_shows_the_list():
    assert mission.PAGE.read_text(encoding="utf-8") == mission.page()
