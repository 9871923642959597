"""Counted nouns, similar names, and JSON within Python's limits."""

import json

import pytest

from imgsearch.backends import Schema
from imgsearch.encoders import Recipe
from imgsearch.encoders.weights import files
from imgsearch.errors import ConfigError, SchemaMismatch, WeightsInvalid
from imgsearch.text import counted, did_you_mean, load_json


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (2, "image", "2 images"),
        (1234, "query", "1,234 queries"),
        (2, "class", "2 classes"),
        (2, "near-duplicate", "2 near-duplicates"),
        (2, "day", "2 days"),
        (2, "batch", "2 batches"),
        (1, "labeled image", "1 labeled image"),
    ],
)
def test_counted_agrees_with_its_noun(number, noun, text):
    assert counted(number, noun) == text


def test_counted_accepts_an_irregular_plural():
    assert counted(1, "file is", "files are") == "1 file is"
    assert counted(3, "file is", "files are") == "3 files are"


def test_did_you_mean_ignores_case():
    assert did_you_mean("COSIN", ["cosine", "ip", "l2"]) == "; did you mean cosine?"
    assert did_you_mean("größe", ["cosine", "ip", "l2"]) == ""
    assert did_you_mean(5, ["cosine"]) == ""


DEEP = "[" * 100_000 + "]" * 100_000


def test_values_are_those_of_json():
    text = '{"größe": [1, 2.5, null, true, "猫"]}'
    assert load_json(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "[1,]", DEEP, '{"a":' + DEEP + "}"], ids=range(5))
def test_every_fault_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        load_json(text)


def test_deep_headers_of_weights_are_refused(tmp_path):
    header = b'{"a":' + DEEP.encode() + b"}"
    file = tmp_path / "tief ü.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(WeightsInvalid, match="tief ü.safetensors is not a safetensors file"):
        files.check(file)
    file.with_suffix(".json").write_text("[" * 30_000 + "]" * 30_000)
    with pytest.raises(ConfigError, match="holds no options"):
        files.sidecar(file)


def test_deep_texts_beside_a_collection_are_refused():
    with pytest.raises(SchemaMismatch, match="not written by imgsearch"):
        Schema.from_json(DEEP)
    assert Recipe.from_json(DEEP) is None
    for config in ({"model": ["x"]}, {"weights": 5}, {"options": "x"}):
        whole = {"model": "lite", "weights": None, "options": None} | config
        assert Recipe.from_json(json.dumps(whole)) is None
