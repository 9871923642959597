"""Contract tests for collections, aliases and schemas."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imgsearch.backends import Index, Schema
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    EncoderMismatch,
    IndexRefused,
    SchemaMismatch,
)
from imgsearch.filters import Field
from imgsearch.testing.contract.bench import (
    Bench,
    ids,
    records,
    unit,
)
from imgsearch.types import Fingerprint, Record

ENCODER = Fingerprint("紅-encoder", 4, weights="ab" * 32, preprocessing="resize 224", options="")
NAN, INFINITY = float("nan"), float("inf")


def test_creating_twice_with_the_same_schema_opens(bench: Bench) -> None:
    collection = bench.collection(encoder=ENCODER)
    collection.upsert(records(["a"]))
    again = bench.store.create(collection.name, collection.schema)
    assert again.schema == collection.schema
    assert again.count() == 1
    assert bench.store.encoder(collection.name) == ENCODER


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"dim": 5}, "dimension"),
        ({"metric": "l2"}, "metric"),
        ({"index": Index("ivf_flat", {"nlist": 7})}, "index"),
        ({"fields": {"n": "int", "text": "str"}}, "fields"),
        ({"fields": {"n": "float"}}, "fields"),
        ({"encoder": Fingerprint("another", 4)}, "another"),
    ],
)
def test_creating_with_another_schema_names_the_difference(
    bench: Bench, other: dict[str, Any], named: str
) -> None:
    collection = bench.collection(encoder=ENCODER)
    values = {
        "dim": 4,
        "metric": "cosine",
        "index": Index("flat"),
        "fields": {"n": "int"},
        "encoder": ENCODER,
    } | other
    with pytest.raises(SchemaMismatch, match=named):
        bench.store.create(collection.name, Schema(**values))
    assert bench.store.open(collection.name).schema == collection.schema


def test_rows_are_divided_by_a_field(bench: Bench) -> None:
    schema = Schema(4, index=Index("flat"), fields={"tenant": "str"}, partition="tenant")
    if not bench.store.capabilities.partitions:
        with pytest.raises(IndexRefused, match="partition"):
            bench.store.create(bench.new_name(), schema)
        return
    if "partition fields" in bench.store.limits():  # the version of this server lacks them
        with pytest.raises(IndexRefused, match="part"):
            bench.store.create(bench.new_name(), schema)
        return
    collection = bench.store.create(bench.new_name(), schema)
    tenants = ["Käse", "猫", "", "Käse", "d'or"]
    collection.upsert(
        Record(name, unit(0), {"tenant": tenant})
        for name, tenant in zip("abcde", tenants, strict=True)
    )
    collection.upsert([Record("f", unit(0))])  # without a tenant
    collection.upsert([Record("a", unit(0), {"tenant": "猫"})])  # moves to another part
    collection.flush()

    def of(tenant: str) -> list[str]:
        (hits,) = collection.search(unit(0)[None], k=9, where=Field("tenant") == tenant)
        return sorted(ids(hits))

    assert collection.count() == 6
    assert (of("Käse"), of("猫"), of("d'or")) == (["d"], ["a", "b"], ["e"])
    assert sorted(ids(collection.search(unit(0)[None], k=9)[0])) == list("abcdef")
    collection.delete(["b", "d"])
    assert (of("Käse"), of("猫")) == ([], ["a"])
    assert collection.get(["a"])["a"].fields["tenant"] == "猫"
    again = bench.store.open(collection.name)
    assert again.schema == schema
    assert again.count() == 4
    with pytest.raises(SchemaMismatch, match="partition field"):
        bench.store.create(collection.name, replace(schema, partition=""))


@pytest.mark.parametrize("name", ["", "no spaces", "a-b", "1st", "图", "x" * 65])
def test_name_that_some_store_refuses_is_refused_by_all(bench: Bench, name: str) -> None:
    with pytest.raises(ConfigError):
        bench.store.create(name, Schema(4))


def test_opening_a_missing_collection_names_it(bench: Bench) -> None:
    with pytest.raises(CollectionNotFound, match="nowhere"):
        bench.store.open("nowhere")
    with pytest.raises(CollectionNotFound, match="nowhere"):
        bench.store.drop("nowhere")


def test_names_lists_existing_collections(bench: Bench) -> None:
    first, second = sorted(bench.collection().name for _ in range(2))
    listed = bench.store.names()
    assert [name for name in listed if name in (first, second)] == [first, second]
    bench.store.drop(first)
    assert first not in bench.store.names()
    assert second in bench.store.names()


def test_drop_deletes_all_records(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records(["a", "b"]))
    bench.store.drop(collection.name)
    with pytest.raises(CollectionNotFound, match=f"{collection.name}.*Add the images again"):
        collection.count()
    assert bench.store.create(collection.name, collection.schema).count() == 0


def test_open_collection_continues_after_it_was_created_again(bench: Bench) -> None:
    collection = bench.collection(encoder=ENCODER)
    collection.upsert(records(["a", "b"]))
    assert collection.count() == 2
    bench.store.drop(collection.name)
    bench.store.create(collection.name, collection.schema)
    assert collection.count() == 0
    collection.upsert(records(["c"]))
    assert ids(collection.search(unit(0)[None])[0]) == ["c"]
    assert ids(collection.iterate()) == ["c"]
    assert collection.delete(["a", "c"]) == 1


def test_open_collection_refuses_another_one_of_its_name(bench: Bench) -> None:
    collection = bench.collection(encoder=ENCODER)
    collection.upsert(records(["a"]))
    assert collection.count() == 1
    schema = Schema(4, index=Index("flat"), fields={"n": "int"}, encoder=Fingerprint("other", 4))
    bench.store.drop(collection.name)
    other = bench.store.create(collection.name, schema)
    other.upsert(records(["b"]))
    for use in (
        lambda: collection.search(unit(0)[None]),
        lambda: collection.get(["b"]),
        collection.count,
        lambda: list(collection.iterate()),
        lambda: collection.upsert(records(["c"])),
        lambda: collection.delete(["b"]),
    ):
        with pytest.raises(SchemaMismatch, match="encoder"):
            use()
    assert ids(other.iterate()) == ["b"]


def test_alias_moves_between_collections(bench: Bench) -> None:
    old, new = bench.collection(), bench.collection()
    old.upsert(records(["old"]))
    new.upsert(records(["new 1", "new 2"]))
    alias = bench.new_alias()
    bench.store.set_alias(alias, old.name)
    before = bench.store.open(alias)
    assert (before.name, before.count()) == (old.name, 1)
    bench.store.set_alias(alias, new.name)
    after = bench.store.open(alias)
    assert (after.name, sorted(ids(after.search(unit(0)[None])[0]))) == (
        new.name,
        ["new 1", "new 2"],
    )
    assert bench.store.create(alias, new.schema).count() == 2
    assert sorted(ids(before.iterate())) == ["old"]  # open collections do not follow a moved alias
    assert alias not in bench.store.names()
    bench.store.drop(old.name)
    bench.store.set_alias(alias, alias)  # no change
    bench.reopen()
    assert bench.store.open(alias).count() == 2
    bench.store.drop_alias(alias)
    with pytest.raises(CollectionNotFound, match=alias):
        bench.store.open(alias)
    assert bench.store.open(new.name).count() == 2


def test_alias_is_dropped_with_its_collection(bench: Bench) -> None:
    collection, other = bench.collection(), bench.collection()
    alias = bench.new_alias()
    with pytest.raises(CollectionNotFound, match="nowhere"):
        bench.store.set_alias(alias, "nowhere")
    with pytest.raises(CollectionNotFound, match=alias):
        bench.store.drop_alias(alias)
    with pytest.raises(ConfigError, match=other.name):
        bench.store.set_alias(other.name, collection.name)
    with pytest.raises(ConfigError):
        bench.store.set_alias("no name", collection.name)
    bench.store.set_alias(alias, collection.name)
    with pytest.raises(CollectionNotFound, match=alias):
        bench.store.drop(alias)
    assert collection.count() == 0
    bench.store.drop(collection.name)
    with pytest.raises(CollectionNotFound, match=alias):
        bench.store.open(alias)
    bench.store.set_alias(alias, other.name)
    assert bench.store.open(alias).name == other.name


def test_readers_of_an_alias_never_miss_it_while_it_moves(bench: Bench) -> None:
    sides = [bench.collection(), bench.collection()]
    for side in sides:
        side.upsert(records(["one"]))
    alias = bench.new_alias()
    bench.store.set_alias(alias, sides[0].name)
    done = threading.Event()

    def read() -> set[str]:
        seen = set()
        while not done.is_set() or not seen:
            opened = bench.store.open(alias)
            assert opened.count() == 1
            seen.add(opened.name)
        return seen

    with ThreadPoolExecutor(2) as readers:
        running = [readers.submit(read) for _ in range(2)]
        try:
            for turn in range(1, 20):
                bench.store.set_alias(alias, sides[turn % 2].name)
                assert bench.store.open(alias).name == sides[turn % 2].name
        finally:
            done.set()
        assert all(reader.result() <= {side.name for side in sides} for reader in running)


def test_fingerprint_and_schema_are_remembered(bench: Bench) -> None:
    created = bench.collection(
        encoder=ENCODER,
        index="hnsw:M=8,efConstruction=50",
        fields={"n": "int", "text": "str", "x": "float", "yes": "bool"},
    )
    created.upsert([Record("a", unit(0), {"n": 3, "text": "金"})])
    bench.reopen()
    opened = bench.store.open(created.name)
    assert opened.schema == created.schema
    assert opened.schema.encoder == ENCODER
    opened.require(ENCODER)
    with pytest.raises(EncoderMismatch, match="weights"):
        opened.require(Fingerprint("紅-encoder", 4, weights="cd" * 32, preprocessing="resize 224"))
    assert opened.get(["a"])["a"].fields["text"] == "金"
    assert ids(opened.search(unit(0)[None])[0]) == ["a"]


def test_added_fields_are_filtered_and_hold_zeros_in_old_records(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert([Record("ü1", unit(0), {"n": 1, "own": 2.5}), Record("2", unit(1), {"n": 2})])
    wider = bench.add_fields(
        collection.name, {"year": "int", "city": "str", "rating": "float", "paid": "bool"}
    )
    zeros = {"year": 0, "city": "", "rating": 0.0, "paid": False}
    assert wider.get(["ü1"])["ü1"].fields == {"n": 1, "own": 2.5, **zeros}
    values: dict[str, Any] = {"year": 2**53 + 1, "city": 'Köln "a"', "rating": 3.0, "paid": True}
    wider.upsert([Record("3", unit(2), {"n": 3, **values})])
    bench.reopen()
    reopened = bench.store.open(collection.name)
    assert reopened.schema.fields == {"n": "int", **wider.schema.fields}
    for name, value in values.items():
        for same, expected in ((value, ["3"]), (zeros[name], ["2", "ü1"])):
            where = Field(name) == same
            hits = reopened.search(np.stack([unit(2)]), where=where)[0]
            assert sorted(ids(hits)) == sorted(ids(reopened.iterate(where=where))) == expected
            assert reopened.count(~where) == 3 - len(expected)
    assert reopened.count((Field("year") > 2**53) & (Field("n") > 0)) == 1
    (hit,) = reopened.search(np.stack([unit(2)]), k=1)[0]
    assert hit.fields == {"n": 3, **values}
    with pytest.raises(SchemaMismatch, match="has a field 'year' already"):
        bench.store.add_fields(collection.name, {"year": "int"})
