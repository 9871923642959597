"""Notes about collections: in every store, per encoder, hidden from listings."""

import uuid
from contextlib import suppress

import pytest

from imgsearch.backends import Schema, connect, notes, versions
from imgsearch.errors import CollectionNotFound, FieldInvalid, SchemaMismatch
from imgsearch.library.copy import copy
from imgsearch.library.doctor import Store, examine
from imgsearch.testing.contract.bench import records
from imgsearch.types import Fingerprint


@pytest.fixture
def noted(bench):
    """Return a bench whose notes are removed after the test."""
    yield bench
    with suppress(CollectionNotFound):
        bench.store.drop(notes.NAME)


FACTS = {"Schwelle-ü": {"image": 0.75, "of": ["猫", 3]}, "none": None}


def test_notes_round_trip(noted):
    collection = noted.collection()
    assert notes.read(noted.store, collection) == {}
    assert notes.NAME not in noted.store.names()  # reading creates nothing
    notes.write(noted.store, collection, FACTS)
    notes.write(noted.store, collection, {"none": 1})
    assert notes.read(noted.store, collection) == {**FACTS, "none": 1}
    noted.reopen()
    if noted.store.capabilities.persistent:
        again = noted.store.open(collection.name)
        assert notes.read(noted.store, again) == {**FACTS, "none": 1}


def test_every_collection_has_its_own_notes(noted):
    one, other = noted.collection(), noted.collection()
    notes.write(noted.store, one, {"a": 1})
    assert notes.read(noted.store, other) == {}
    assert notes.NAME in noted.store.names()
    assert notes.NAME not in versions.collections(noted.store)
    assert {one.name, other.name} <= set(versions.collections(noted.store))


@pytest.fixture
def store():
    with connect(f"memory://{uuid.uuid4().hex}") as opened:
        yield opened


def new_collection(store, weights, metric="cosine"):
    with suppress(CollectionNotFound):
        store.drop("bilder")
    schema = Schema(4, metric, encoder=Fingerprint("toy", 4, weights=weights))
    return store.create("bilder", schema)


def test_notes_of_another_encoder_or_metric_are_ignored(store):
    notes.write(store, new_collection(store, "a"), {"x": 1, "y": 2})
    assert notes.read(store, new_collection(store, "b")) == {}
    assert notes.read(store, new_collection(store, "a", "ip")) == {}
    assert notes.read(store, new_collection(store, "a")) == {"x": 1, "y": 2}
    notes.write(store, new_collection(store, "b"), {"x": 3})  # and are not kept
    assert notes.read(store, new_collection(store, "b")) == {"x": 3}


def test_invalid_notes_are_ignored(store):
    from imgsearch.types import Record

    collection = new_collection(store, "a")
    notes.write(store, collection, {"x": 1})
    kept = store.open(notes.NAME)
    vector = kept.get(["bilder"], vectors=True)["bilder"].vector
    for text in ("", "no json", "[]", "3", '{"of": {}}', '{"facts": {"x": 1}}'):
        kept.upsert([Record("bilder", vector, {"note": text})])
        assert notes.read(store, collection) == {}, text


def test_oversized_notes_are_rejected(store):
    with pytest.raises(FieldInvalid, match="65,535"):
        notes.write(store, new_collection(store, "a"), {"x": "ü" * 40_000})


def test_copy_includes_notes_and_keeps_existing_ones(store):
    collection = new_collection(store, "a")
    collection.upsert(records(["猫", "b"]))
    with connect(f"memory://{uuid.uuid4().hex}") as target:
        copy(store, target, "bilder")
        assert target.names() == ["bilder"]  # there were no notes to copy
        notes.write(store, collection, {"x": 1, "y": 2})
        notes.write(target, target.open("bilder"), {"x": 3})
        copy(store, target, "bilder")
        assert notes.read(target, target.open("bilder")) == {"x": 3, "y": 2}
        copy(store, target, "bilder", name="l2", metric="l2")
        assert notes.read(target, target.open("l2")) == {}  # its scores have another scale


@pytest.mark.torch  # the doctor imports it
def test_doctor_does_not_list_notes(store):
    notes.write(store, new_collection(store, "a"), {"x": 1})
    (store_finding,) = (
        finding for finding in examine([Store(store.url)]) if finding.what.startswith("store")
    )
    assert store_finding.fact.endswith("; bilder")


def test_notes_that_another_program_drops_or_replaces_are_opened_again(store):
    collection = new_collection(store, "a")
    notes.write(store, collection, {"x": 1})
    notes.put_entry(store, "a/b", {"y": 2})
    assert store.notes is notes.opened(store)
    store.drop(notes.NAME)
    assert notes.read(store, collection) == {}
    assert notes.entries(store, ["a/b"]) == {}
    notes.write(store, collection, {"x": 3})
    assert notes.read(store, collection) == {"x": 3}
    store.drop(notes.NAME)
    notes.put_entry(store, "a/b", {"y": 4})  # nothing read the notes in between
    assert notes.entries(store) == {"a/b": {"y": 4}}
    store.drop(notes.NAME)
    store.create(notes.NAME, Schema(3))
    assert notes.read(store, collection) == {}
    with pytest.raises(SchemaMismatch, match="dimension"):
        notes.write(store, collection, {"x": 5})
