"""Parquet files with vectors: every record and search as in the collection, and no writes."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgsearch.backends import Index, Schema, connect
from imgsearch.backends.parquet import write
from imgsearch.errors import BackendError, CollectionNotFound, ConfigError, SchemaMismatch
from imgsearch.testing.contract.bench import NASTY, ids, unit
from imgsearch.types import Fingerprint, Record

FIELDS = {"text": "str", "n": "int", "x": "float", "yes": "bool"}
ENCODER = Fingerprint("größe", 4, "abc")


@pytest.fixture(params=["cosine", "ip", "l2"])
def collection(request):
    rng = np.random.default_rng(7)
    with connect("memory://") as store:
        schema = Schema(4, request.param, Index("hnsw"), FIELDS, ENCODER, '{"note": 1}')
        created = store.create("bilder", schema)
        created.upsert(
            Record(
                f"r{n:02}",
                rng.standard_normal(4).astype(np.float32),
                {"text": text, "n": n, "x": n / 8, "yes": n % 3 == 0, "other": text, "mixed": n}
                | ({"mixed": text, "rare": 0.5} if n % 2 else {}),
            )
            for n, text in enumerate(NASTY)
        )
        yield created


@pytest.fixture
def file(collection, tmp_path):
    path = tmp_path / "größe.parquet"
    assert write(path, collection.schema, collection.iterate, name="bilder") == len(NASTY)
    return path


def test_file_has_all_records_and_the_schema(collection, file):
    with connect(file) as store:
        assert store.names() == ["bilder"]
        read = store.open("bilder")
        assert read.schema == collection.schema
        here = {record.id: record for record in read.iterate()}
        for record in collection.iterate():
            np.testing.assert_array_equal(here[record.id].vector, record.vector)
            mixed = record.fields["mixed"]
            assert here[record.id].fields == {**record.fields, "mixed": str(mixed)}
        assert len(here) == read.count() == len(NASTY)
        assert store.open("images").count("yes = true") == 7


def test_searches_equal_the_collection(collection, file):
    queries = np.stack([unit(0), unit(2)])
    with connect(file) as store:
        read = store.open("bilder")
        for where in (None, "n >= 5 and not text startswith x", {"text": {"glob": "*e*"}}):
            expected = collection.search(queries, k=5, offset=1, where=where)
            results = read.search(queries, k=5, offset=1, where=where)
            assert [ids(hits) for hits in results] == [ids(hits) for hits in expected]
            assert [[hit.score for hit in hits] for hits in results] == [
                [hit.score for hit in hits] for hits in expected
            ]


def test_writes_are_refused(file):
    with connect(file) as store:
        read = store.open("bilder")
        for write_ in (
            lambda: read.upsert([Record("a", unit(0))]),
            lambda: read.delete(["r01"]),
            lambda: store.create("neu", read.schema),
            lambda: store.drop("bilder"),
            read.require_own,
        ):
            with pytest.raises(BackendError, match="read-only"):
                write_()
        with pytest.raises(CollectionNotFound):
            store.open("andere")


def test_file_of_another_program_is_read(tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 0, 0, 1], pa.float64()), 2)
    table = pa.table({"id": [1, 2], "vector": vectors, "year": [1999, None], "$x": ["a", "b"]})
    pq.write_table(table, tmp_path / "fremd.parquet")
    with connect(tmp_path / "fremd.parquet") as store:
        read = store.open("images")
        assert (read.schema.dim, read.schema.encoder) == (2, None)
        assert read.schema.fields == {"year": "int"}
        (hits,) = read.search(np.array([[0, 1]], np.float32), where="year is null")
        assert ids(hits) == ["2"]


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"path": ["a.jpg"]}, SchemaMismatch),
        ({"id": ["a"], "vector": ["b"]}, SchemaMismatch),
        (None, BackendError),
        ({}, BackendError),
    ],
    ids=["list of images", "texts", "missing", "damaged"],
)
def test_unusable_file_is_refused(tmp_path, columns, error):
    file = tmp_path / "x.parquet"
    if columns:
        pq.write_table(pa.table(columns), file)
    elif columns is not None:
        file.write_bytes(b"PAR1 and no more")
    with pytest.raises(error, match=r"x\.parquet"):
        connect(file)


def rewritten(file, **changes):
    """Replace columns of a file, or `dim` in its description. NAME_again is a second column."""
    table = pq.read_table(file)
    metadata = dict(table.schema.metadata)
    if "dim" in changes:
        description = json.loads(metadata[b"imgsearch"]) | {"dim": changes.pop("dim")}
        metadata[b"imgsearch"] = json.dumps(description).encode()
    for name, column in changes.items():
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name.removesuffix("_again"), column)
    pq.write_table(table.replace_schema_metadata(metadata), file)


ROWS = len(NASTY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 2}, "have 4 dimensions, and its description says 2"),
        ({"dim": 10**12}, "have 4 dimensions, and its description says 1,000,000,000,000"),
        ({"vector": pa.array([[1.0] * 3, [1.0] * 5, *[[1.0] * 4] * (ROWS - 2)])}, "fixed size"),
        ({"vector": pa.array([["a"] * 4] * ROWS, pa.list_(pa.string(), 4))}, "list of numbers"),
        ({"id": pa.array(["a", "a", *map(str, range(ROWS - 2))])}, "the id 'a' twice"),
        ({"id": pa.array([None, *map(str, range(ROWS - 1))])}, "a row without an id"),
        ({"n_again": pa.array([1] * ROWS)}, "several columns 'n'"),
        ({"n": pa.array(["x"] * ROWS)}, "column 'n' of type string cannot be read as int"),
        ({"n": pa.array([2**64 - 1] * ROWS, pa.uint64())}, "column 'n' of type uint64"),
    ],
)
def test_file_that_contradicts_its_description_is_refused(file, changes, message):
    rewritten(file, **changes)
    with pytest.raises(SchemaMismatch, match=message):
        connect(file)


def test_vectors_that_cannot_be_compared_are_left_out(file):
    rows = [[1.0, 0, 0, 0]] * ROWS
    rows[:4] = [[np.nan] * 4, [np.inf, 0, 0, 0], [0.0] * 4, [1e300, 0, 0, 0]]
    rewritten(file, vector=pa.array(rows, pa.list_(pa.float64(), 4)))
    with connect(file) as store:
        assert store.open("bilder").count() == ROWS - 4


@pytest.mark.parametrize("url", ["parquet://x.parquet", "parquet:///x.db", "x.csv"])
def test_invalid_name_is_refused(url):
    with pytest.raises(ConfigError, match=r"is invalid"):
        connect(url)
