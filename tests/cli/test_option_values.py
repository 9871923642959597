"""Conditions, numbers and texts of the command line are parsed or rejected."""

import json

import pytest
from click import BadParameter

from imgsearch.cli.option_values import parse_where
from imgsearch.cli.search import parse_query
from imgsearch.filters import And, Compare, Not

CATS = Compare("label", "==", "cats")
NO_CAT = Compare("label", "==", "x")


def test_all_conditions_must_hold():
    assert parse_where(()) is None
    assert parse_where(("label=cats", '{"label": "cats"}')) == And(CATS, CATS)
    assert parse_where(("label = 'cats' and not label = x",)) == And(CATS, Not(NO_CAT))


@pytest.mark.parametrize("word", ["label", "=cats", "label===cats", "label = white dog", "", "{}"])
def test_invalid_condition_is_rejected(word):
    with pytest.raises(BadParameter, match="filter"):
        parse_where((word,))


def test_fault_is_shown_with_its_column(run, photos, db):
    done = run("search", photos / "cats/bild-ü 0001.png", "--db", db, "--where", "label = a dog")
    assert done.exit_code == 2
    assert "column 11: and, or or the end is expected, not 'dog'" in done.stderr


def test_value_of_another_type_is_named(run, photos, db):
    done = run("search", photos / "cats/bild-ü 0001.png", "--db", db, "--where", "label = 2020")
    assert done.exit_code == 1
    assert "field 'label' takes str, not int" in done.stderr


@pytest.mark.parametrize("word", ["path under cats", "path under './cats'", "path glob */cats/*"])
def test_folder_is_relative_to_the_current_one(run, photos, db, word, monkeypatch):
    monkeypatch.chdir(photos)
    done = run("search", photos / "cats/bild-ü 0001.png", "--db", db, "--json", "--where", word)
    assert [hit["fields"]["label"] for hit in json.loads(done.stdout)] == ["cats"] * 3, done.output


@pytest.mark.parametrize("word", ["label==cats", "label = cats", "label='cats'"])
def test_search_applies_the_condition(run, photos, db, word):
    done = run("search", photos / "cats/bild-ü 0001.png", "--db", db, "--json", "--where", word)
    assert [hit["fields"]["label"] for hit in json.loads(done.stdout)] == ["cats"] * 3, done.output


def test_condition_without_matches_is_named(run, photos, db):
    done = run("search", photos / "cats/bild-ü 0001.png", "--db", db, "--where", "label=kats")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "No image matches --where label=kats" in done.stderr


def test_unknown_field_is_named_with_a_suggestion(run, photos, db):
    done = run("search", photos / "cats/bild-ü 0001.png", "--db", db, "--where", "lable=cats")
    assert done.exit_code == 1
    assert "cannot filter on 'lable'" in done.stderr
    assert "did you mean label?" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("search", "x", "--min-score", "nan"),
        ("search", "x", "--min-score", "inf"),
        ("search", "x", "--min-score", "1e999"),
        ("search", "x", "--min-score", "viel"),
        ("search", "x", "-k", "0"),
        ("search", "x", "--offset", "-1"),
        ("search", "x", "--effort", "0"),
        ("dedup", "--precision", "nan"),
        ("dedup", "--precision", "0"),
        ("dedup", "--threshold", "nan"),
        ("threshold", "--precision", "nan"),
        ("tune", "--target", "nan"),
        ("repair", "--older-than", "inf"),
        ("evaluate", "--sample", "0"),
        ("evaluate", ".", "--sample", "5"),
        ("evaluate", "--fail-under", "hit@1=nan"),
        ("serve", "--max-seconds", "nan"),
        ("serve", "--max-seconds", "0.5"),
        ("serve", "--max-file", "0"),
        ("serve", "--max-files", "-1"),
        ("serve", "--max-body", "64MB"),
        ("serve", "--max-per-minute", "-1"),
        ("serve", "--url-host", "10.0.0.1"),
        ("add", "x", "--option", "a=1", "--option", "a=2"),
    ],
)
def test_invalid_number_is_a_usage_error(run, db, words):
    done = run(*words, *([] if words[0] in ("serve", "repair") else ["--db", db]))
    assert done.exit_code == 2, done.output


@pytest.mark.parametrize(
    "words",
    [
        ("info", "--db", ""),
        ("info", "--db="),
        ("remove", ""),
        ("search", ""),
        ("serve", "--data", ""),
        ("keys", "list", "--data", ""),
        ("add", ".", "--model", ""),
    ],
)
def test_empty_argument_is_a_usage_error(run, words):
    done = run(*words)
    assert done.exit_code == 2
    assert "is empty" in done.stderr or "has no value" in done.stderr


@pytest.mark.parametrize("text", ["2*2 white tiles", "2*2", ".5*5 größen", "1*1=1"])
def test_single_text_may_start_like_a_weight(run, text):
    (term,) = parse_query([text]).terms
    assert (term.value, term.kind, term.weight) == (text, "text", 1)


def test_weights_are_parsed_before_texts_and_files(run, photos):
    file = photos / "cats/bild-ü 0001.png"
    first, second = parse_query(["2*2 white tiles", "-", "0.5*snow"]).terms
    assert (first.value, first.weight) == ("2 white tiles", 2)
    assert (second.value, second.weight) == ("snow", -0.5)
    (image,) = parse_query([f"0.5*{file}"]).terms
    assert (image.kind, image.weight) == ("image", 0.5)
    (text,) = parse_query(["2*text:2 tiles"]).terms
    assert (text.value, text.weight) == ("2 tiles", 2)
    (text,) = parse_query(["text:2*2 tiles"]).terms
    assert (text.value, text.weight) == ("2*2 tiles", 1)
