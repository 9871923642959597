"""The encoder of the last query is loaded while the store is opened."""

import pytest

from imgsearch import encoders
from imgsearch.encoders import Recipe
from imgsearch.encoders.base import Encoder
from imgsearch.library.preload import Preload


@pytest.fixture
def loaded(monkeypatch):
    """Return the list of the sides that are loaded, with their models."""
    sides = []
    monkeypatch.setattr(
        Encoder, "load_side", lambda self, kind: sides.append((self.fingerprint.model, kind))
    )
    return sides


@pytest.fixture
def preload(tmp_path):
    return Preload(tmp_path / "größe", ("fotos.db", "images", None))


def test_first_query_preloads_nothing(preload):
    assert preload.start(["text"]) is None


def test_remembered_encoder_is_loaded_for_the_kinds_of_the_query(preload, loaded):
    preload.remember(Recipe("classic"))
    preload.start(["image", "vector", "image"]).join()
    assert loaded == [("classic", "image")]
    preload.start(["text", "image"]).join()
    assert loaded[1:] == [("classic", "text"), ("classic", "image")]
    assert preload.start(["vector"]) is None


def test_other_arguments_have_their_own_encoder(preload, tmp_path):
    preload.remember(Recipe("classic"))
    other = Preload(preload.cache, ("fotos.db", "images", "lite"))
    assert other.start(["text"]) is None


def test_another_encoder_replaces_the_remembered_one(preload, loaded):
    preload.remember(Recipe("lite", None, {"precision": "f32"}))
    preload.remember(Recipe("classic"))
    preload.start(["image"]).join()
    assert loaded == [("classic", "image")]


def test_encoder_that_can_no_longer_be_loaded_is_no_error(preload, tmp_path, loaded):
    preload.remember(Recipe("timm:resnet50", str(tmp_path / "missing.safetensors")))
    preload.start(["image"]).join()
    assert loaded == []


@pytest.mark.parametrize("content", [b"", b"[]", b'{"model": 1}', b"\xff"])
def test_damaged_memory_is_ignored_and_replaced(preload, content):
    preload.remember(Recipe("classic"))
    (memory,) = (preload.cache / "queries").iterdir()
    whole = memory.read_bytes()
    memory.write_bytes(content)
    assert preload.start(["text"]) is None
    preload.remember(Recipe("classic"))
    assert memory.read_bytes() == whole


def test_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    preload = Preload(tmp_path / "file", ())
    preload.remember(Recipe("classic"))
    assert preload.start(["text"]) is None


def test_loading_a_side_makes_the_first_text_quick():
    encoder = encoders.load("lite")
    encoder.load_side("text")
    assert encoder._texts._tables is not None
