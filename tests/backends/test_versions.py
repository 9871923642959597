"""Versions of a collection: names, readers, crashes, in every store."""

import uuid
from contextlib import suppress

import pytest

from imgsearch.backends import FieldNames, Index, Schema, connect, notes, versions
from imgsearch.errors import CollectionNotFound, ConfigError, SchemaMismatch
from imgsearch.testing.contract.bench import records
from imgsearch.types import Fingerprint


def schema(model, dim=4):
    return Schema(dim, index=Index("flat"), fields={"n": "int"}, encoder=Fingerprint(model, dim))


@pytest.fixture
def versioned(bench):
    """Return a bench whose versions and notes are removed after the test."""
    yield bench
    for name in bench.created:
        with suppress(CollectionNotFound):
            versions.drop(bench.store, name)
    with suppress(CollectionNotFound):
        bench.store.drop(notes.NAME)


@pytest.fixture
def store():
    with connect(f"memory://{uuid.uuid4().hex}") as opened:
        yield opened


def listed(bench, names):
    return [name for name in versions.collections(bench.store) if name.startswith(names)]


def test_name_follows_a_switch_and_keeps_the_former_collection(versioned):
    store, name = versioned.store, versioned.new_name()
    versions.create(store, name, schema("alt")).upsert(records(["猫"]))
    watch = versions.Watch(store, name)
    shadow = versions.begin(store, name, schema("neu", 6))
    shadow.upsert(records(["猫", "犬"], dim=6))
    shadow.flush()
    assert listed(versioned, name) == [name]
    assert versions.open_named(store, name).schema.dim == 4  # searches use the current one
    assert not watch.moved(now=True)
    versions.switch(store, name)
    assert watch.moved()
    assert not watch.moved(now=True)
    assert watch.current == f"{name}_v2"
    versioned.reopen()
    store = versioned.store
    assert versions.read(store, name).former == (name,)
    current = versions.open_named(store, name)
    assert (current.count(), current.schema.dim) == (2, 6)
    assert versions.create(store, name, schema("neu", 6)).count() == 2
    assert versions.encoder(store, name) == Fingerprint("neu", 6)
    assert listed(versioned, name) == [name]
    assert store.open(name).count() == 1  # other programs still find the former one

    assert versions.drop_former(store, name) == 1
    assert versions.drop_former(store, name) == 0
    assert listed(versioned, name) == [name]
    assert versions.open_named(store, name).count() == 2
    assert store.open(name).count() == 2  # an alias now

    versions.drop(store, name)
    assert listed(versioned, name) == []
    with pytest.raises(CollectionNotFound):
        versions.open_named(store, name)
    assert versions.read(store, name) == versions.Versions(name, name)


def test_only_shared_stores_are_asked_for_switches_of_other_processes(versioned):
    store, name = versioned.store, versioned.new_name()
    versions.create(store, name, schema("alt"))
    watch = versions.Watch(store, name)
    versions.begin(store, name, schema("neu", 6))
    versions.switch(store, name)
    store.switches -= 2  # as if another process had switched
    assert watch.moved(now=True) is store.capabilities.shared
    assert (watch.current == f"{name}_v2") is store.capabilities.shared


def test_way_back_uses_the_former_collection(store):
    versions.create(store, "bilder", schema("alt")).upsert(records(["猫"]))
    versions.begin(store, "bilder", schema("neu"))
    versions.switch(store, "bilder")
    assert versions.begin(store, "bilder", schema("alt")).count() == 1
    assert versions.switch(store, "bilder").current == "bilder"
    assert store.names() == ["bilder", "bilder_v2", notes.NAME]
    assert versions.collections(store) == ["bilder"]


def test_unfinished_shadow_is_found_again_and_discarded(store):
    versions.create(store, "bilder", schema("alt"))
    assert versions.shadow(store, "bilder") is None
    assert not versions.discard(store, "bilder")
    versions.begin(store, "bilder", schema("neu")).upsert(records(["猫"]))
    assert versions.begin(store, "bilder", schema("neu")).count() == 1
    assert versions.shadow(store, "bilder").count() == 1
    with pytest.raises(SchemaMismatch, match="bilder_v2"):
        versions.begin(store, "bilder", schema("andere"))
    assert versions.discard(store, "bilder")
    assert store.names() == ["bilder", notes.NAME]
    with pytest.raises(ConfigError, match="Fill one first"):
        versions.switch(store, "bilder")


def test_new_version_takes_no_name_in_use(store):
    versions.create(store, "bilder", schema("alt"))
    store.create("bilder_v2", schema("mein"))
    store.set_alias("bilder_v3", "bilder_v2")
    assert versions.begin(store, "bilder", schema("neu")).name == "bilder_v4"
    assert versions.collections(store) == ["bilder", "bilder_v2"]
    name = "x" * 64
    versions.create(store, name, schema("alt"))
    assert versions.begin(store, name, schema("neu")).name == "x" * 56 + "_v2"


def test_alias_has_no_versions(store):
    store.create("bilder", schema("alt"))
    store.set_alias("fotos", "bilder")
    with pytest.raises(ConfigError, match="alias of collection 'bilder'"):
        versions.begin(store, "fotos", schema("neu"))
    assert store.names() == ["bilder"]  # nothing was recorded


@pytest.mark.parametrize("lost", ["@0", "@1"])
def test_damaged_record_leaves_the_other_one(store, lost):
    """Each write replaces the older record, so a torn write leaves the state before it."""
    versions.create(store, "bilder", schema("alt"))
    versions.begin(store, "bilder", schema("neu"))  # serial 1, record @1
    versions.switch(store, "bilder")  # serial 2, record @0
    current = {"@0": "bilder", "@1": "bilder_v2"}[lost]
    notes.put_entry(store, f"bilder{lost}", {"serial": "torn"})
    assert versions.read(store, "bilder").current == current
    notes.remove_entries(store, [f"bilder{lost}"])
    assert versions.read(store, "bilder").current == current
    versions.settle(store, "bilder")
    assert versions.read(store, "bilder").settled


def test_settled_is_recorded_once(store):
    versions.create(store, "bilder", schema("alt"))
    versions.begin(store, "bilder", schema("neu"))
    assert not versions.switch(store, "bilder").settled
    versions.settle(store, "bilder")
    before = versions.read(store, "bilder")
    versions.settle(store, "bilder")
    assert versions.read(store, "bilder") == before
    assert before.settled


def test_field_names_are_passed_to_the_store(store):
    versions.create(store, "bilder", schema("alt"))
    assert versions.open_named(store, "bilder", FieldNames(label="n")).schema.dim == 4


def test_dropped_current_collection_is_created_under_its_version(store):
    versions.create(store, "bilder", schema("alt"))
    versions.begin(store, "bilder", schema("neu"))
    versions.switch(store, "bilder")
    store.drop("bilder_v2")  # by another program
    assert versions.collections(store) == []
    with pytest.raises(CollectionNotFound):
        versions.open_named(store, "bilder")
    assert versions.create(store, "bilder", schema("neu")).name == "bilder_v2"
