"""Bulk copies: files reach the store once, and readers change over last."""

import json
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import imgsearch
from imgsearch.backends import Schema, connect, versions
from imgsearch.backends.vectors.folder import JobDescription, columns
from imgsearch.backends.vectors.writer import JobWriter
from imgsearch.cli import cli
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    CollectionNotFound,
    ConfigError,
    DimensionMismatch,
    FieldInvalid,
    SchemaMismatch,
    VectorInvalid,
)
from imgsearch.library import bulk_copy, import_tasks
from imgsearch.types import Fingerprint, Record
from tests.library.importing_store import importing_store

DIM, ROWS, SHARDS = 8, 40, 5
SCHEMA = Schema(DIM, fields={"path": "str", "year": "int"}, encoder=Fingerprint("toy", DIM))


def records(shard):
    rng = np.random.default_rng(shard)
    return [
        Record(
            f"{shard}-{row}",
            rng.standard_normal(DIM).astype(np.float32),
            {"path": f"猫/{shard}/{row}.jpg", "year": row},
        )
        for row in range(ROWS)
    ]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(bulk_copy, "_PAUSE", 0.001)
    monkeypatch.setattr(import_tasks, "_PAUSE", 0.001)
    monkeypatch.setattr(bulk_copy, "_STALLED", 0.01)


@pytest.fixture
def job(tmp_path):
    writer = JobWriter.create(str(tmp_path / "job"), JobDescription(SCHEMA, {}, ROWS))
    for shard in range(SHARDS):
        writer.plan(shard, pa.table({"source": []}))
        writer.write(shard, records(shard))
    writer.finish_plan(SHARDS, SHARDS * ROWS)
    return writer


@pytest.fixture
def store():
    with importing_store() as opened:
        yield opened


def path(job, shard):
    return str(job.files.local(f"vectors/{shard:06}.parquet"))


def copied(job, store, **options):
    return imgsearch.copy(job.url, store, **{"bulk": True, "alias": "photos", **options})


def current(store):
    return versions.open_named(store, "photos")


def rewrite(job, shard, table):
    pq.write_table(table, path(job, shard))


def test_files_are_imported_where_they_are_and_readers_change_over_last(job, store):
    seen = []

    def look(done, total):
        with pytest.raises(CollectionNotFound):
            current(store)
        seen.append((done, total))

    done = copied(job, store, on_progress=look)
    assert (done.copied, done.skipped, done.doubled, done.recall) == (200, 0, 0, 1.0)
    assert done.compared == 200
    assert seen[0] == (0, 200)
    assert seen[-1] == (200, 200)
    assert store.sent == [path(job, shard) for shard in range(SHARDS)]
    held = {row.id: row for row in current(store).iterate()}
    for record in (record for shard in range(SHARDS) for record in records(shard)):
        assert held[record.id].fields == record.fields
        np.testing.assert_allclose(held[record.id].vector, record.vector)
    assert current(store).schema.encoder == SCHEMA.encoder


def test_repeated_copy_sends_nothing(job, store):
    copied(job, store)
    first = current(store).name
    again = copied(job, store)
    assert (again.copied, again.skipped, again.compared) == (0, 200, 0)
    assert (len(store.sent), current(store).name) == (SHARDS, first)
    job.write(9, records(9))  # the job has grown: another version
    job.plan(9, pa.table({"source": []}))
    job.finish_plan(SHARDS + 1, 0)
    assert copied(job, store).copied == 240
    assert current(store).name != first
    assert store.open(first).count() == 200


def test_rows_of_repeated_ids_are_left_out(job, store):
    job.write(4, [*records(1)[5:9], *records(4)])
    done = copied(job, store)
    assert (done.copied, done.doubled) == (200, 4)
    rewritten = store.sent[-1]
    assert store.sent[:-1] == [path(job, shard) for shard in range(4)]
    assert rewritten != path(job, 4)
    assert pq.read_table(rewritten)["id"].to_pylist() == [record.id for record in records(4)]


@pytest.mark.parametrize("killed", ["unanswered", "unreached"])
def test_copy_that_was_interrupted_goes_on(job, store, killed):
    getattr(store, killed).add(path(job, 3))
    with pytest.raises(BackendUnavailable):
        copied(job, store)
    with pytest.raises(CollectionNotFound):
        current(store)
    done = copied(job, store)
    assert done.copied + done.skipped == 200
    assert done.skipped > 0
    assert sorted(store.sent) == [path(job, shard) for shard in range(SHARDS)]
    assert current(store).count() == 200


def test_failed_task_is_asked_again(job, store):
    store.failing[path(job, 2)] = 2
    assert copied(job, store).copied == 200
    assert store.sent.count(path(job, 2)) == 3
    assert current(store).count() == 200


def test_file_that_fails_three_times_ends_the_copy(job, store):
    store.failing[path(job, 2)] = 3
    with pytest.raises(BackendError, match="shard 2.*out of memory.*--bucket"):
        copied(job, store)
    with pytest.raises(CollectionNotFound):
        current(store)
    assert copied(job, store).copied + 0 >= 40
    assert current(store).count() == 200


def test_lost_task_means_a_new_collection(job, store):
    store.unanswered.add(path(job, 3))
    with pytest.raises(BackendUnavailable):
        copied(job, store)
    store.tasks.clear()  # another server, or its memory of tasks has expired
    assert copied(job, store).copied == 200
    assert current(store).count() == 200
    assert store.sent[-SHARDS:] == [path(job, shard) for shard in range(SHARDS)]


def test_doubled_rows_are_noticed_and_dropped(job, store):
    def insert(done, total):
        if done == total and not again:
            store.doubled["photos_v2"] = 3  # by another program

    again = False
    with pytest.raises(BackendError, match="holds 203 records instead of 200"):
        copied(job, store, on_progress=insert)
    with pytest.raises(CollectionNotFound):
        current(store)
    again = True
    assert copied(job, store).copied == 200


def vectors_of(table, vectors, kind=None):
    column = pa.array(vectors, kind or pa.list_(pa.float32()))
    return table.set_column(1, "vector", column)


def test_invalid_file_reaches_no_store(job, store):
    table = pq.read_table(path(job, 3))
    vectors = table["vector"].to_pylist()
    for change, error, text in (
        ({2: [float("nan"), *vectors[2][1:]]}, VectorInvalid, r"000003.*rows 0 to 39.*NaN"),
        ({2: vectors[2][1:]}, DimensionMismatch, r"000003.*row 2 has a vector of 7 numbers"),
        ({2: None}, DimensionMismatch, r"row 2 has no vector"),
        ({2: [None, *vectors[2][1:]]}, VectorInvalid, "NaN"),
        ({2: [0.0] * DIM}, VectorInvalid, "zeros"),
    ):
        changed = [change.get(row, vector) for row, vector in enumerate(vectors)]
        rewrite(job, 3, vectors_of(table, changed))
        with pytest.raises(error, match=text):
            copied(job, store)
    for other, error, text in (
        (table.drop_columns(["year"]), SchemaMismatch, "no column 'year'"),
        (vectors_of(table, ["a"] * ROWS, pa.string()), SchemaMismatch, "'vector' is of type"),
        (table.set_column(0, "id", pa.array([None] * ROWS, pa.string())), FieldInvalid, "an id"),
    ):
        rewrite(job, 3, other)
        with pytest.raises(error, match=text):
            copied(job, store)
    assert store.sent == []
    rewrite(job, 3, table)
    assert copied(job, store).copied == 200


@pytest.mark.parametrize(
    "kind", [pa.large_list(pa.float32()), pa.list_(pa.float32(), DIM), pa.list_(pa.float64())]
)
def test_file_of_another_type_is_rewritten(job, store, kind):
    table = pq.read_table(path(job, 3))
    nulls = pa.array([None, *table["year"].to_pylist()[1:]], pa.int64())
    changed = vectors_of(table, table["vector"].to_pylist(), kind).set_column(3, "year", nulls)
    rewrite(job, 3, changed.append_column("more", nulls).select(["more", *changed.column_names]))
    copied(job, store)
    sent = pq.read_schema(store.sent[3]).remove_metadata()
    assert sent.equals(columns(SCHEMA))
    assert current(store).get(["3-0"])["3-0"].fields["year"] == 0


def test_bucket_gets_the_files(job, store, tmp_path):
    copied(job, store, bucket=tmp_path / "bucket")
    assert all(sent.startswith(str(tmp_path / "bucket" / "import")) for sent in store.sent)
    assert current(store).count() == 200


def test_existing_collection_is_never_filled(job, store):
    store.create("photos", SCHEMA).upsert(records(7))
    with pytest.raises(ConfigError, match="'photos' of .* exists.*--alias photos"):
        copied(job, store, alias=None, name="photos")
    assert copied(job, store, alias=None, name="new").copied == 200
    assert copied(job, store, alias=None, name="new").skipped == 200
    assert copied(job, store).copied == 200
    assert versions.read(store, "photos").former == ("photos",)
    assert store.open("photos").count() == ROWS


def test_unfinished_jobs_and_migrations_are_refused(job, store):
    job.finish_plan(SHARDS + 1, 300)
    job.plan(SHARDS, pa.table({"source": []}))
    with pytest.raises(ConfigError, match="5 of 6 shards are done.*imgsearch embed --to"):
        copied(job, store)
    job.write(SHARDS, [])
    store.create("photos", SCHEMA)
    versions.begin(store, "photos", SCHEMA).upsert(records(8))
    with pytest.raises(ConfigError, match="--discard"):
        copied(job, store)
    versions.discard(store, "photos")
    assert copied(job, store).copied == 200


def test_copy_with_a_low_recall_keeps_the_readers(job, store, monkeypatch):
    monkeypatch.setattr(bulk_copy, "ann_recall_of_copy", lambda *_: 0.5)
    with pytest.raises(BackendError, match=r"find 0.500 of the exact neighbors.*--min-recall"):
        copied(job, store)
    with pytest.raises(CollectionNotFound):
        current(store)
    assert copied(job, store, min_recall=0.4).recall == 0.5


def test_state_of_each_file_is_in_the_job(job, store):
    copied(job, store)
    (file,) = (job.files.local("import") or "").glob("*/import.json")
    state = json.loads(file.read_text("utf-8"))
    assert (state["complete"], state["collection"]) == (True, current(store).name)
    assert [row["task"] for row in state["files"]] == ["1", "2", "3", "4", "5"]
    file.write_text("{}")
    with pytest.raises(BackendError, match="damaged"):
        copied(job, store)


def test_stores_without_imports_are_filled_by_writers(job):
    with connect(f"memory://{uuid.uuid4().hex}") as store:
        done = copied(job, store, writers=3)
        assert (done.copied, done.recall) == (200, None)
        assert copied(job, store).skipped == 200
        assert imgsearch.copy(job.url, store, "named").copied == 200
        assert store.open("named").count() == 200


def test_command_imports_a_job(job, store, tmp_path):
    words = ["copy", job.files.title, store.url, "--alias", "photos", "--bulk", "--json"]
    done = CliRunner().invoke(cli, [*words, "--bucket", str(tmp_path / "bucket")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["copied"] == 200
    assert all(sent.startswith(str(tmp_path / "bucket")) for sent in store.sent)
    assert "200 skipped" in CliRunner().invoke(cli, words[:-1]).output


def test_other_sources_are_not_imported(store):
    with connect(f"memory://{uuid.uuid4().hex}") as source:
        source.create("images", SCHEMA)
        with pytest.raises(ConfigError, match="only a job"):
            imgsearch.copy(source, store, bulk=True)
