"""JSON that a file or another program wrote, within Python's limits."""

import json

import pytest

from imgsearch import safe_json
from imgsearch.backends import Schema
from imgsearch.encoders import Recipe
from imgsearch.encoders.weights import files
from imgsearch.errors import ConfigError, SchemaMismatch, WeightsInvalid

DEEP = "[" * 100_000 + "]" * 100_000


def test_values_are_those_of_json():
    text = '{"größe": [1, 2.5, null, true, "猫"]}'
    assert safe_json.loads(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "[1,]", DEEP, '{"a":' + DEEP + "}"], ids=range(5))
def test_every_fault_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        safe_json.loads(text)


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
    with pytest.raises(SchemaMismatch, match="not ours"):
        Schema.from_json(DEEP)
    assert Recipe.from_json(DEEP) is None
