"""Collections of a removed encoder: the error of every interface, and supported operations."""

from dataclasses import replace

import numpy as np
import pytest

import imgsearch
from imgsearch import backends, encoders
from imgsearch.backends import Schema
from imgsearch.encoders import Recipe
from imgsearch.errors import EncoderRemoved, ModelNotFound
from imgsearch.types import Fingerprint, Record
from tests.pictures import write

URL = "memory://removed-encoder"  # kept until the process ends
ADVICE = (
    "the encoder 'mini' was removed from imgsearch. Add the images again to a new collection, "
    "which lite embeds: imgsearch add SOURCE --collection NAME. Searches by vectors still work."
)
SCHEMA = Schema(
    384,
    fields={"path": "str", "label": "str"},
    encoder=Fingerprint("mini", 384, weights="46cae28e", options="v2"),
    note=Recipe("mini").to_json(),
)


def create(store, name="images", schema=SCHEMA):
    collection = store.create(name, schema)
    collection.upsert([Record("a", np.eye(384)[0], {"path": "größe.jpg"})])
    return collection


@pytest.fixture
def collection(request):
    note = getattr(request, "param", SCHEMA.note)
    with backends.connect(URL) as store:
        yield create(store, schema=replace(SCHEMA, note=note))
        store.drop("images")


def test_removed_encoder_raises_with_advice():
    for model in ("mini", "Mini"):
        with pytest.raises(EncoderRemoved) as refused:
            encoders.load(model)
        assert str(refused.value) == ADVICE
    with pytest.raises(ModelNotFound, match="was removed"):
        imgsearch.open("memory://", model="mini")


@pytest.mark.parametrize("collection", [SCHEMA.note, "", "größe"], indirect=True)
def test_library_of_a_removed_encoder_raises_with_advice(collection, tmp_path):
    (picture,) = write(tmp_path, 1)
    with imgsearch.open(URL) as library:
        for call in (
            lambda: library.add(tmp_path),
            lambda: library.search(picture),
            lambda: library.search("a dog"),
            lambda: library.encode("a dog"),
        ):
            with pytest.raises(EncoderRemoved) as refused:
                call()
            assert str(refused.value) == ADVICE
        hits = library.search(np.eye(384)[0])
        assert [hit.id for hit in hits] == ["a"]
        assert library.count() == 1


@pytest.mark.parametrize("model", ["lite", "classic"])
def test_another_encoder_for_its_collection_raises_with_advice(collection, model):
    with pytest.raises(EncoderRemoved, match="was removed from imgsearch. Add the images again"):
        imgsearch.open(URL, model=model)


def test_pipelines_over_its_collection_raise_with_advice(collection, tmp_path):
    write(tmp_path, 1)
    for pipeline, query in (
        (imgsearch.insert_pipeline, tmp_path),
        (imgsearch.search_pipeline, tmp_path),
        (imgsearch.text_search_pipeline, ["a dog"]),
    ):
        for model in ("mini", "lite"):
            with pytest.raises(EncoderRemoved, match="imgsearch add SOURCE --collection NAME"):
                pipeline(URL, model=model)(query)
    with pytest.raises(EncoderRemoved):
        imgsearch.search_pipeline(URL)(tmp_path)


def test_commands_on_its_collection_fail_with_advice(collection, run, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_DB", URL)
    (picture,) = write(tmp_path, 1)
    for words in (
        ("add", tmp_path),
        ("add", tmp_path, "--model", "mini"),
        ("add", tmp_path, "--model", "lite"),
        ("search", picture),
        ("search", "a dog"),
        ("dedup",),
    ):
        result = run(*words)
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, f"Error: {ADVICE}")
    assert run("info").exit_code == 0
