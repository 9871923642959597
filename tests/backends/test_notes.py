"""Notes about collections: in every store, of the right encoder, out of sight."""

import uuid
from contextlib import suppress

import pytest

from imgsearch.backends import Schema, connect, notes
from imgsearch.errors import CollectionNotFound, FieldInvalid
from imgsearch.library.copy import copy
from imgsearch.library.doctor import Store, examine
from imgsearch.testing.contract.bench import records
from imgsearch.types import Fingerprint


@pytest.fixture
def noted(bench):
    """Return a bench whose notes go when the test ends."""
    yield bench
    with suppress(CollectionNotFound):
        bench.store.drop(notes.NAME)


FACTS = {"Schwelle-ü": {"image": 0.75, "of": ["猫", 3]}, "none": None}


def test_notes_are_read_as_they_were_written(noted):
    collection = noted.collection()
    assert notes.read(noted.store, collection) == {}
    assert notes.NAME not in noted.store.names()  # reading makes nothing
    notes.write(noted.store, collection, FACTS)
    notes.write(noted.store, collection, {"none": 1})
    assert notes.read(noted.store, collection) == {**FACTS, "none": 1}
    noted.reopen()
    if noted.store.capabilities.persistent:
        again = noted.store.open(collection.name)
        assert notes.read(noted.store, again) == {**FACTS, "none": 1}


def test_each_collection_has_notes_of_its_own(noted):
    one, other = noted.collection(), noted.collection()
    notes.write(noted.store, one, {"a": 1})
    assert notes.read(noted.store, other) == {}
    assert notes.NAME in noted.store.names()
    assert notes.NAME not in notes.collections(noted.store)
    assert {one.name, other.name} <= set(notes.collections(noted.store))


@pytest.fixture
def store():
    with connect(f"memory://{uuid.uuid4().hex}") as opened:
        yield opened


def made(store, weights, metric="cosine"):
    with suppress(CollectionNotFound):
        store.drop("bilder")
    schema = Schema(4, metric, encoder=Fingerprint("toy", 4, weights=weights))
    return store.create("bilder", schema)


def test_notes_of_another_encoder_or_metric_count_for_nothing(store):
    notes.write(store, made(store, "a"), {"x": 1, "y": 2})
    assert notes.read(store, made(store, "b")) == {}
    assert notes.read(store, made(store, "a", "ip")) == {}
    assert notes.read(store, made(store, "a")) == {"x": 1, "y": 2}
    notes.write(store, made(store, "b"), {"x": 3})  # and are not taken over
    assert notes.read(store, made(store, "b")) == {"x": 3}


def test_what_is_no_note_of_ours_counts_for_nothing(store):
    from imgsearch.types import Record

    collection = made(store, "a")
    notes.write(store, collection, {"x": 1})
    kept = store.open(notes.NAME)
    vector = kept.get(["bilder"], vectors=True)["bilder"].vector
    for text in ("", "no json", "[]", "3", '{"of": {}}', '{"facts": {"x": 1}}'):
        kept.upsert([Record("bilder", vector, {"note": text})])
        assert notes.read(store, collection) == {}, text


def test_more_than_a_record_holds_is_refused(store):
    with pytest.raises(FieldInvalid, match="65,535"):
        notes.write(store, made(store, "a"), {"x": "ü" * 40_000})


def test_a_copy_carries_the_notes_along_and_keeps_its_own(store):
    collection = made(store, "a")
    collection.upsert(records(["猫", "b"]))
    with connect(f"memory://{uuid.uuid4().hex}") as target:
        copy(store, target, "bilder")
        assert target.names() == ["bilder"]  # there was nothing to carry
        notes.write(store, collection, {"x": 1, "y": 2})
        notes.write(target, target.open("bilder"), {"x": 3})
        copy(store, target, "bilder")
        assert notes.read(target, target.open("bilder")) == {"x": 3, "y": 2}
        copy(store, target, "bilder", name="l2", metric="l2")
        assert notes.read(target, target.open("l2")) == {}  # scores of another scale


@pytest.mark.torch  # the doctor imports it
def test_the_doctor_names_no_notes(store):
    notes.write(store, made(store, "a"), {"x": 1})
    (found,) = (each for each in examine([Store(store.url)]) if each.what.startswith("store"))
    assert found.fact.endswith("; bilder")
