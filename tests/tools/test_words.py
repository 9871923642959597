"""The word check counts forbidden words in prose, and nothing in code."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools import words

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hits(tmp_path):
    """Write a file and return (rule, line) of each hit in it."""

    def hits_of(text, name="module.py"):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return [(hit.rule, hit.line) for hit in words.count([file]).hits]

    return hits_of


@pytest.mark.parametrize(
    ("sentence", "rule"),
    [
        ("The caller is told why.", "tell"),
        ("What is stored is skipped.", "what is/it/a (noun)"),
        ("The key is there already.", "archaic"),
        ("\nReturns what\na caller wants.", "what is/it/a (noun)"),
        ("The file is no image.", "is no/none"),
        ("The score is that of the pair.", "that of, those who"),
        ("A limit for those who upload.", "that of, those who"),
        ("It resizes as the model does.", "as X does"),
        ("Reads whatever comes.", "archaic"),
        ("All options but for two.", "archaic"),
        ("The colour of the Größe.", "British spelling"),
        ("Vectors are unnormalised.", "British spelling"),
        ("The labelled images.", "British spelling"),
        ("A cancelled job.", "British spelling"),
    ],
)
def test_each_pattern_finds_its_words(hits, sentence, rule):
    line = 2 if "\n" in sentence else 1
    assert hits(sentence, "page.md") == [(rule, line)]


@pytest.mark.parametrize(
    "sentence",
    [
        "What is the default encoder?",
        "# What it costs",
        "The value is None.",
        "It is no longer cached.",
        "It waits as long as others do.",
        "The color of a centered catalog, recognized and labeled.",
        "The noise raises a precise, pairwise promise.",
        "Call `told` and ``what is``, [a page](colour.md), <b class=grey>bold</b>.",
        "```\ntell me\n```",
    ],
)
def test_plain_english_and_code_have_no_hits(hits, sentence):
    assert hits(sentence, "page.md") == []


def test_python_prose_is_docstrings_comments_sentences_and_test_names(hits):
    source = '''
"""Find images.

>>> library.told("colour")  # tell
Whoever calls is told.
"""
# the user is
# told here
message = f"{key!r} is no valid key"
key = "colour"
def test_missing_key_is_told(): ...
'''
    expected = {("archaic", 5), ("tell", 5), ("tell", 8), ("is no/none", 9), ("tell", 11)}
    assert set(hits(source)) == expected


def test_directives_and_short_strings_are_not_prose(hits):
    assert hits('x = "tell me"  # noqa: S105\ny = "what it"  # type: ignore[told]\n') == []


@pytest.mark.parametrize(
    "source",
    [
        "told = 1",
        "told: int = 1",
        "a, told = 1, 2",
        "for told in (): pass",
        "with open() as told: pass",
        "[1 for told in ()]",
        "def f(*, told): ...",
        "lambda told: 1",
        "(told := 1)",
        "self.told = 1",
        "def told(): ...",
    ],
)
def test_binding_a_forbidden_name_is_a_hit(hits, source):
    assert hits(source) == [("forbidden name", 1)]


def test_using_a_name_from_elsewhere_is_not_a_hit(hits):
    assert hits("draw(colour=told.made, key={'licence': each})") == []
    assert hits("encoder.colour = 1") == []


def test_names_and_files_have_american_spelling(hits):
    assert hits("class ColourMap:\n    grey_level = 1\n") == [
        ("British spelling", line) for line in (1, 2)
    ]
    assert hits("", "labelled_scores.py") == [("British spelling", 1)]


def test_notebooks_are_read_by_cell(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "You are told."]},
        {"cell_type": "code", "source": ["%time\n", "made = await f()  # the answer is told\n"]},
    ]
    file = tmp_path / "codelab.ipynb"
    file.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    hits = [(hit.rule, hit.file, hit.line) for hit in words.count([file]).hits]
    assert hits == [
        ("tell", f"{file}[1]", 2),
        ("tell", f"{file}[2]", 2),
        ("forbidden name", f"{file}[2]", 2),
    ]


def test_a_limit_allows_its_rate(tmp_path):
    page = tmp_path / "page.md"
    # 20,000 words may have 0.7 * 2 = 1.4, rounded up to 2 hits
    page.write_text("word " * 19_998 + "tell tell", encoding="utf-8")
    assert next(words.count([tmp_path]).rows()) == ("tell", 2, 1.0, 0.7, True)
    page.write_text("word " * 19_997 + "tell tell tell", encoding="utf-8")
    assert next(words.count([tmp_path]).rows()) == ("tell", 3, pytest.approx(1.5), 0.7, False)


def test_command_lists_hits_and_fails_above_a_limit(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("One line.\nA grey image.", encoding="utf-8")
    result = CliRunner().invoke(words.main, ["--list", str(page)])
    assert result.exit_code == 1
    assert f"{page}:2: British spelling: One line. A grey image." in result.output.splitlines()
    page.write_text("A gray image.", encoding="utf-8")
    assert CliRunner().invoke(words.main, [str(page)]).exit_code == 0


def test_clean_folders_and_exempt_files_exist():
    for path in (*words.FOLDERS, *words.EXEMPT):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(("path", "name"), words.PUBLIC)
def test_a_public_name_is_exempt_in_its_own_file_only(path, name, hits):
    source = (ROOT / path).read_text(encoding="utf-8")
    assert f"    {name}: " in source
    assert name not in [hit.text for hit in words.forbidden_names(ROOT / path)]
    rule = "forbidden name" if name in words.NAMES else "British spelling"
    assert hits(f"class Progress:\n    {name}: int\n") == [(rule, 2)]
