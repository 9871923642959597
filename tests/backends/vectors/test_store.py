"""The vectors of a job as a store: every search as in memory, and no writes."""

import numpy as np
import pytest

from imgsearch.backends import Index, Schema, connect
from imgsearch.backends.vectors import store as store_module
from imgsearch.backends.vectors.folder import JobDescription
from imgsearch.backends.vectors.writer import JobWriter
from imgsearch.errors import CollectionNotFound, StoreReadOnly
from imgsearch.testing.contract.bench import NASTY, ids, unit
from imgsearch.types import Fingerprint, Record

FIELDS = {"text": "str", "n": "int", "x": "float", "yes": "bool"}


@pytest.fixture(params=["cosine", "ip", "l2", "hamming"])
def collections(request, tmp_path, monkeypatch):
    """Yield a collection in memory, and the same rows in the shards of a job."""
    monkeypatch.setattr(store_module, "_KEPT", 1)  # bytes: one shard is in memory at a time
    schema = Schema(8, request.param, Index("flat"), FIELDS, Fingerprint("größe", 8, "abc"))
    rng = np.random.default_rng(7)
    rows = [
        Record(
            f"r{n:02}",
            rng.standard_normal(8).astype(np.float32),
            {"text": text, "n": n, "x": n / 8, "yes": n % 3 == 0},
        )
        for n, text in enumerate(NASTY)
    ]
    job = JobWriter.create(str(tmp_path / "job"), JobDescription(schema, {}, 7))
    for shard, start in enumerate(range(0, len(rows), 7)):
        again = [Record("r00", unit(3, 8), {"text": "later"})] if shard else []
        job.write(shard, [*again, *rows[start : start + 7]])
    job.write(9, [])
    with connect("memory://") as memory, connect(tmp_path / "job") as store:
        here = memory.create("images", schema)
        here.upsert(rows)
        yield here, store.open("images")


def test_searches_equal_memory(collections):
    here, stored = collections
    queries = np.stack([unit(0, 8), unit(2, 8)])
    for where in (None, "n >= 5 and not text startswith x", {"text": {"glob": "*e*"}}):
        for k in (1, 5, 100):
            expected = here.search(queries, k=k, offset=1, where=where)
            results = stored.search(queries, k=k, offset=1, where=where)
            for hits, others in zip(results, expected, strict=True):
                if here.schema.metric != "hamming":  # whose ties have no order
                    assert ids(hits) == ids(others)
                    assert [hit.fields for hit in hits] == [hit.fields for hit in others]
                np.testing.assert_allclose(
                    [hit.score for hit in hits], [hit.score for hit in others], rtol=1e-12
                )
        assert stored.count(where) == here.count(where)


def test_records_equal_memory(collections):
    here, stored = collections
    assert stored.schema == here.schema
    wanted = ["r03", "r19", "none", "r00"]
    for vectors in (False, True):
        expected, read = (side.get(wanted, vectors=vectors) for side in (here, stored))
        assert list(read) == ["r03", "r19", "r00"]
        assert {id_: row.fields for id_, row in read.items()} == {
            id_: row.fields for id_, row in expected.items()
        }
    np.testing.assert_array_equal(read["r19"].vector, expected["r19"].vector)
    rows = list(stored.iterate(batch=3))
    assert [row.id for row in rows] == [f"r{n:02}" for n in range(len(NASTY))]
    np.testing.assert_array_equal(rows[0].vector, expected["r00"].vector)
    assert [row.id for row in stored.iterate(where="n < 2", vectors=False)] == ["r00", "r01"]


def test_writes_are_refused(collections, tmp_path):
    _, stored = collections
    with connect(tmp_path / "job") as store:
        for write in (
            lambda: stored.upsert([Record("a", unit(0, 8))]),
            lambda: stored.upsert([Record("a", unit(0, 8))], foreign=True),
            lambda: stored.delete(["r01"]),
            lambda: stored.delete(["r01"], foreign=True),
            lambda: store.create("neu", stored.schema),
            lambda: store.drop("images"),
            lambda: store.set_alias("neu", "images"),
            lambda: store.add_fields("images", {"more": "int"}),
        ):
            with pytest.raises(StoreReadOnly, match="read-only"):
                write()
        with pytest.raises(CollectionNotFound):
            store.open("andere")


def test_empty_job_has_no_hits(tmp_path):
    JobWriter.create(str(tmp_path), JobDescription(Schema(4), {}, 7))
    with connect(tmp_path) as store:
        read = store.open("images")
        assert read.search(unit(0)[None]) == [[]]
        assert (read.count(), read.get(["a"]), list(read.iterate())) == (0, {}, [])
