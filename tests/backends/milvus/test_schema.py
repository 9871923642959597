"""Reading Milvus collections of other programs, with columns of any type."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pymilvus import DataType

from imgsearch.backends import FieldNames, Index, Schema, connect, notes
from imgsearch.backends.milvus.address import Address
from imgsearch.backends.milvus.backend import Backend
from imgsearch.backends.milvus.rows import MilvusRows
from imgsearch.backends.milvus.schema import searched_vector
from imgsearch.errors import FieldInvalid, IndexRefused, SchemaMismatch
from imgsearch.filters import Field
from imgsearch.testing.contract.bench import Bench, ids, unit, vector
from imgsearch.types import Record
from tests.backends import foreign as foreign_collections
from tests.conftest import Place


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Backend]:
    with connect(str(tmp_path / "图片.db")) as opened:
        assert isinstance(opened, Backend)
        yield opened


@pytest.fixture(params=["milvus-lite", "milvus"])
def milvus(request: pytest.FixtureRequest, place_of: Callable[[str], Place]) -> Iterator[Bench]:
    url, token = place_of(request.param)
    bench = Bench(request.param, url, connect(url, token=token), token, foreign_collections.milvus)
    yield bench
    bench.clear()


def foreign(store: Backend, key: DataType, **columns: DataType) -> None:
    """Create a collection like another program."""
    with store.calling() as client:
        schema = client.create_schema(enable_dynamic_field=False)
        schema.add_field("pk", key, is_primary=True, max_length=100)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=4)
        for name, kind in columns.items():
            schema.add_field(name, kind, max_length=100)
        index = client.prepare_index_params()
        index.add_index("embedding", index_type="HNSW", metric_type="L2", params={"M": 8})
        client.create_collection("theirs", schema=schema, index_params=index)


def test_foreign_collection_is_readable(store: Backend) -> None:
    foreign(store, DataType.VARCHAR, label=DataType.VARCHAR, year=DataType.INT32)
    with store.calling() as client:
        client.insert("theirs", [{"pk": "鱼", "embedding": unit(1), "label": "'", "year": 1999}])
    collection = store.open("theirs")
    assert collection.schema.encoder is None
    assert (collection.schema.dim, collection.schema.metric) == (4, "l2")
    assert collection.schema.index.kind == "hnsw"
    assert collection.schema.fields == {"label": "str", "year": "int"}
    collection.upsert([Record("b", unit(0), {"label": "x"})], foreign=True)
    (hits,) = collection.search(unit(0)[None], k=5)
    assert [(hit.id, hit.distance) for hit in hits] == [("b", 0), ("鱼", pytest.approx(2))]
    assert hits[1].fields == {"label": "'", "year": 1999}
    assert ids(collection.iterate(where=Field("year") == 0)) == ["b"]
    with pytest.raises(FieldInvalid, match="more"):
        collection.upsert([Record("c", unit(0), {"more": 1})], foreign=True)


def test_foreign_collection_of_numbered_rows_has_their_texts_as_ids(store: Backend) -> None:
    foreign(store, DataType.INT64)
    collection = store.open("theirs")
    collection.upsert([Record(f"{i}", vector(1, i, 0, 0)) for i in range(-2, 3)], foreign=True)
    assert ids(collection.search(unit(0)[None], k=1)[0]) == ["0"]
    assert collection.get(["-2", "7", "seven"], vectors=True).keys() == {"-2"}
    assert sorted(ids(collection.iterate(batch=2)), key=int) == ["-2", "-1", "0", "1", "2"]
    assert collection.delete(["-2", "seven"], foreign=True) == 1
    with pytest.raises(FieldInvalid, match="seven"):
        collection.upsert([Record("seven", unit(0))], foreign=True)


def test_foreign_columns_of_any_type_are_read(store: Backend) -> None:
    foreign(store, DataType.VARCHAR, j=DataType.JSON, vector=DataType.VARCHAR, ok=DataType.BOOL)
    row = {"pk": "鱼", "embedding": unit(1), "j": {"ü": [1]}, "vector": "v", "ok": True}
    with store.calling() as client:
        client.insert("theirs", [row])
    collection = store.open_named("theirs", FieldNames(path="pk", label="vector"))
    fields = {"j": '{"ü": [1]}', "ok": True, "path": "鱼", "label": "v"}
    assert collection.search(unit(1)[None], k=1)[0][0].fields == fields
    assert collection.get(["鱼"])["鱼"].fields == fields
    assert collection.count(Field("ok") == True) == 1  # noqa: E712  # makes a filter
    for name in ("j", "path", "label"):
        with pytest.raises(FieldInvalid, match="cannot filter on"):
            collection.count(Field(name) == "v")
    with pytest.raises(FieldInvalid, match="no field 'nothing'; it has: pk, j, vector, ok"):
        store.open_named("theirs", FieldNames(label="nothing"))


def test_dynamic_field_can_be_the_label(milvus: Bench) -> None:
    name = milvus.foreign()
    collection = milvus.store.open_named(name, FieldNames(path="file", label="note"))
    assert ids(collection.iterate(where=Field("label") == "n2")) == ["2"]
    (hits,) = collection.search(unit(0)[None], where=Field("note").isin(["n1", "n3"]))
    assert {hit.id: hit.fields["label"] for hit in hits} == {"1": "n1", "3": "n3"}


def test_one_of_several_vectors_is_named(store: Backend) -> None:
    name = "several"  # not supported by Milvus 2.3.5
    with store.calling() as client:
        schema = client.create_schema()
        schema.add_field("pk", DataType.INT64, is_primary=True)
        index = client.prepare_index_params()
        for vector_, dim, metric in (("small", 2, "IP"), ("large", 4, "COSINE")):
            schema.add_field(vector_, DataType.FLOAT_VECTOR, dim=dim)
            index.add_index(vector_, index_type="FLAT", metric_type=metric)
        client.create_collection(name, schema=schema, index_params=index)
        client.insert(name, [{"pk": 7, "small": unit(0, 2), "large": unit(1)}])
    with pytest.raises(SchemaMismatch, match="several vectors: small .* large .* --vector-field"):
        store.open(name)
    for vector_, dim, metric in (("small", 2, "ip"), ("large", 4, "cosine")):
        collection = store.open_named(name, FieldNames(vector=vector_))
        assert (collection.schema.dim, collection.schema.metric) == (dim, metric)
        assert ids(collection.search(unit(0, dim)[None])[0]) == ["7"]
        assert collection.get(["7"], vectors=True)["7"].vector.shape == (dim,)
        assert collection.indexed() in (0, 1)


@pytest.mark.parametrize("kind", ["SPARSE_FLOAT_VECTOR", "FLOAT16_VECTOR", "BFLOAT16_VECTOR"])
def test_unsearchable_vector_type_is_reported(kind: str) -> None:
    key = {"name": "pk", "type": DataType.VARCHAR, "is_primary": True}
    odd = {"name": "bag", "type": DataType[kind], "params": {"dim": 8}}
    floats = {"name": "emb", "type": DataType.FLOAT_VECTOR, "params": {"dim": 8}}
    described = {"collection_name": "theirs", "fields": [key, odd]}
    with pytest.raises(SchemaMismatch, match=rf"FLOAT_VECTOR and .* are searched.*bag \({kind}\)"):
        searched_vector(described, FieldNames())
    both = {**described, "fields": [key, odd, floats]}
    assert searched_vector(both, FieldNames()) == "emb"
    with pytest.raises(SchemaMismatch, match="FLOAT_VECTOR and"):
        searched_vector(both, FieldNames(vector="bag"))
    with pytest.raises(FieldInvalid, match="no vector field 'pk'"):
        searched_vector(both, FieldNames(vector="pk"))


def test_notes_of_another_program_are_neither_read_nor_written(store: Backend) -> None:
    foreign_collections.milvus(store, notes.NAME)
    ours = store.create("images", Schema(4, index=Index("flat")))
    assert notes.read(store, ours) == {}
    with pytest.raises(SchemaMismatch, match="'imgsearch_notes' was not created by imgsearch"):
        notes.write(store, ours, {"min_score": {}})


def test_reading_the_encoder_does_not_load_the_collection(milvus: Bench) -> None:
    name = milvus.foreign()
    with milvus.store.calling() as client:
        client.release_collection(name)
        assert milvus.store.encoder(name) is None
        assert client.get_load_state(name)["state"].name == "NotLoad"


def test_undeclared_lists_in_our_collection_are_read_as_texts(store: Backend) -> None:
    """Another program may add lists to our records; a copy accepts only plain values."""
    store.create("images", Schema(4, index=Index("flat")))
    row = {"id": "a", "vector": unit(0), "tags": ["ü", 1], "n": 2}
    with store.calling() as client:
        client.insert("images", [row])
    collection = store.open("images")
    assert collection.get(["a"])["a"].fields == {"tags": '["ü", 1]', "n": 2}
    collection.upsert(collection.iterate())


@pytest.mark.usefixtures("servers")
def test_foreign_collection_of_bits_is_searched(place_of: Callable[[str], Place]) -> None:
    url, token = place_of("milvus")
    with connect(url, token=token) as store:
        assert isinstance(store, Backend)
        with store.calling() as client:
            schema = client.create_schema(enable_dynamic_field=False)
            schema.add_field("pk", DataType.INT64, is_primary=True)
            schema.add_field("pdq", DataType.BINARY_VECTOR, dim=16)
            index = client.prepare_index_params()
            index.add_index("pdq", index_type="BIN_IVF_FLAT", metric_type="HAMMING", nlist=4)
            client.create_collection("their_bits", schema=schema, index_params=index)
        try:
            with store.calling() as client:
                rows = [{"pk": 1, "pdq": b"\xff\x00"}, {"pk": 2, "pdq": b"\xf0\x01"}]
                client.insert("their_bits", rows)
            collection = store.open("their_bits")
            assert (collection.schema.metric, collection.schema.dim) == ("hamming", 16)
            assert collection.schema.index.kind == "ivf_flat"
            query = np.unpackbits(np.frombuffer(b"\xff\x00", np.uint8)).astype(np.float32)
            (hits,) = collection.search(query[None], k=2)
            assert [(hit.id, hit.distance) for hit in hits] == [("1", 0), ("2", 5)]
            bits = collection.get(["2"], vectors=True)["2"].vector
            assert bits == pytest.approx(np.repeat([0.25, -0.25, 0.25], [4, 11, 1]))
        finally:
            store.drop("their_bits")


def test_collection_divided_by_a_key_is_read_and_written_only_into_the_right_part(
    milvus: Bench,
) -> None:
    """Milvus 2.3.5 upserts into a wrong part: https://github.com/milvus-io/milvus/pull/30772."""
    store, name = milvus.store, milvus.new_name()
    assert isinstance(store, Backend)
    with store.calling() as client:
        columns = client.create_schema()
        columns.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
        columns.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
        columns.add_field("tenant", DataType.VARCHAR, max_length=64, is_partition_key=True)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="COSINE")
        client.create_collection(name, schema=columns, index_params=index)
        client.insert(name, [{"id": "a", "vector": unit(0), "tenant": "Käse"}])
    collection, where = store.open(name), Field("tenant") == "Käse"
    assert collection.schema.partition == "tenant"
    uri = milvus.url.removesuffix("/default").replace("milvus://", "http://")
    uri = uri.removeprefix("milvus-lite://")
    rows = MilvusRows(Address(uri=uri), name, timeout=20)
    if store.limits():
        with pytest.raises(IndexRefused, match=r"Milvus 2\.4 or newer"):
            collection.upsert([Record("b", unit(0), {"tenant": "Käse"})], foreign=True)
        with pytest.raises(IndexRefused, match=r"Milvus 2\.4 or newer"):
            rows.insert("b", unit(0), "Käse")
    else:
        collection.upsert([Record("b", unit(0), {"tenant": "Käse"})], foreign=True)
        rows.insert("c", unit(0), "Käse")
    expected = ["a"] if store.limits() else ["a", "b", "c"]
    assert sorted(ids(collection.search(unit(0)[None], k=5, where=where)[0])) == expected
