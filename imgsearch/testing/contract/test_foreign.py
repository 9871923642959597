"""Contract tests for collections that another program created."""

import pytest

from imgsearch.backends import FieldNames, Index, Schema, notes
from imgsearch.errors import (
    CollectionNotFound,
    FieldInvalid,
    SchemaMismatch,
)
from imgsearch.filters import Field
from imgsearch.testing.contract.bench import FOREIGN, Bench, ids, records, unit
from imgsearch.types import Fingerprint, Record

ENCODER = Fingerprint("紅-encoder", 4, weights="ab" * 32, preprocessing="resize 224", options="")
NAN, INFINITY = float("nan"), float("inf")


def test_collection_of_another_program_is_read_and_never_written(bench: Bench) -> None:
    collection = bench.store.open(bench.foreign())
    assert (collection.foreign, collection.schema.encoder) == (True, None)
    assert bench.store.encoder(collection.name) is None
    assert (collection.schema.metric, collection.schema.dim) == ("l2", 4)
    (hits,) = collection.search(unit(2)[None], k=3, where=Field("year") > 2000)
    assert [(hit.id, hit.distance) for hit in hits] == [("2", 0), ("3", pytest.approx(2))]
    for write in (
        lambda: collection.upsert([Record("1", unit(0), FOREIGN[0])]),
        lambda: collection.delete(["1"]),
        lambda: bench.store.create(collection.name, collection.schema),
        lambda: notes.write(bench.store, collection, {"min_score": {}}),
    ):
        with pytest.raises(SchemaMismatch, match=f"{collection.name}.*not created by imgsearch"):
            write()
    rows = {record.id: record.fields for record in collection.iterate(vectors=False)}
    assert rows.keys() == {"1", "2", "3"}
    assert rows["1"].items() >= FOREIGN[0].items()


def test_collection_of_another_program_is_written_on_request(bench: Bench) -> None:
    collection = bench.store.open(bench.foreign())
    collection.upsert([Record("4", unit(0), FOREIGN[0])], foreign=True)
    assert collection.delete(["1"], foreign=True) == 1
    assert sorted(ids(collection.iterate())) == ["2", "3", "4"]


def test_encoder_of_a_missing_collection_is_refused(bench: Bench) -> None:
    with pytest.raises(CollectionNotFound):
        bench.store.encoder("nowhere")
    assert bench.store.encoder(bench.empty().name) is None


def test_create_does_not_add_an_encoder_to_existing_vectors(bench: Bench) -> None:
    collection = bench.collection()
    assert not collection.foreign
    collection.upsert(records(["a"]))
    marked = Schema(4, index=Index("flat"), fields={"n": "int"}, encoder=ENCODER)
    with pytest.raises(SchemaMismatch, match="encoder: none noted there, 紅-encoder asked for"):
        bench.store.create(collection.name, marked)


def test_collection_of_another_program_is_read_by_its_own_field_names(bench: Bench) -> None:
    collection = bench.store.open_named(bench.foreign(), bench.names())
    assert (collection.foreign, collection.key) == (True, bench.names().id or "id")
    (hits,) = collection.search(unit(2)[None], k=2, where=Field("label") == "hund")
    assert [(hit.id, hit.distance) for hit in hits] == [("2", 0), ("3", pytest.approx(2))]
    assert hits[0].fields.items() >= {"path": "/fotos/2.jpg", "label": "hund", "year": 2003}.items()
    assert not {"file", "class"} & hits[0].fields.keys()
    assert collection.get(["1"])["1"].fields["path"] == "/fotos/ü1.jpg"
    with pytest.raises(SchemaMismatch, match="not created by imgsearch"):
        collection.delete(["1"])
    for wrong in ({"id": "file"}, {"vector": "nothing"}):
        with pytest.raises(FieldInvalid, match=next(iter(wrong.values()))):
            bench.store.open_named(collection.name, bench.names(**wrong))


def test_fields_of_other_names_are_read_as_path_and_label(bench: Bench) -> None:
    names = FieldNames(path="file", label="class")
    created = bench.collection(fields={"file": "str", "class": "str", "year": "int", "path": "str"})
    created.upsert(
        Record(str(n), unit(n), {**row, "path": "?"}) for n, row in enumerate(FOREIGN, 1)
    )
    created.flush()
    collection = bench.store.open_named(created.name, names)
    first = {"path": "/fotos/ü1.jpg", "label": "猫", "year": 1999}
    assert collection.search(unit(1)[None], k=1)[0][0].fields == first
    assert collection.get(["1"], vectors=True)["1"].fields == first
    assert {row.id: row.fields for row in collection.iterate()}["1"] == first
    for where, matching in (
        (Field("label") == "hund", {"2", "3"}),
        (Field("class") == "hund", {"2", "3"}),
        (Field("path").isin(["/fotos/2.jpg"]) | (Field("year") < 2000), {"1", "2"}),
        (~(Field("label") == "hund") & (Field("year") < 2000), {"1"}),
    ):
        assert set(ids(collection.search(unit(0)[None], where=where)[0])) == matching
        assert set(ids(collection.iterate(where=where))) == matching
        assert collection.count(where) == len(matching)
    assert collection.indexed() == created.indexed()
    assert type(bench.store.open_named(created.name, FieldNames())) is type(created)
    for write in (
        lambda: collection.upsert([Record("4", unit(0))]),
        lambda: collection.delete(["1"], foreign=True),
    ):
        with pytest.raises(SchemaMismatch, match="opened with field names"):
            write()
    with pytest.raises(FieldInvalid, match="pk"):
        bench.store.open_named(created.name, FieldNames(id="pk"))
    with pytest.raises(CollectionNotFound):
        bench.store.open_named("nowhere", names)
