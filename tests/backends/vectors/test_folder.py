"""The format of a job folder: written files are read again, and damaged ones are named."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgsearch.backends import Schema, connect
from imgsearch.backends.vectors.folder import (
    FORMAT,
    JobDescription,
    JobFolder,
    ShardOutcome,
    columns,
)
from imgsearch.backends.vectors.writer import FailedSource, JobWriter
from imgsearch.errors import (
    BackendError,
    CollectionNotFound,
    ConfigError,
    FieldInvalid,
    SchemaMismatch,
    VectorInvalid,
)
from imgsearch.testing.contract.bench import unit
from imgsearch.types import Failure, Fingerprint, Record

FIELDS = {"path": "str", "label": "str", "year": "int", "x": "float", "yes": "bool"}
SCHEMA = Schema(4, fields=FIELDS, encoder=Fingerprint("größe", 4, "abc"), note="{}")
ABOUT = JobDescription(SCHEMA, {"model": "lite", "weights": None, "options": None}, 3)


def record(id_, axis=0, **fields):
    return Record(id_, unit(axis), {"path": f"/fotos/ü{id_}.jpg", "label": "猫", **fields})


@pytest.fixture
def job(tmp_path):
    return JobWriter.create(str(tmp_path / "jöb"), ABOUT)


def test_written_rows_and_failures_are_read(job):
    failed = FailedSource("a\udcff.jpg", None, "read", "SourceError: missing: a")
    done = job.write(
        0,
        [record("a", year=1999), record("b", 1)],
        [failed],
        ShardOutcome(9, 9, "", 2.0, 1, started=100.0, sources=3),
    )
    assert (done.rows, done.failed, done.seconds) == (2, 1, 2.0)
    job.write(1, [record("c", 2, x=0.5)], (), ShardOutcome(0, 0, "", 2.0, 2, 101.0, 1))
    read = JobFolder.open(job.url)
    assert read.description == ABOUT
    assert read.shards() == [0, 1]
    (first, second) = read.vectors()
    assert first.schema.equals(columns(SCHEMA))
    assert first.schema.field("vector").type == pa.list_(pa.float32())
    assert first.column("id").to_pylist() + second.column("id").to_pylist() == ["a", "b", "c"]
    assert first.column("year").to_pylist() == [1999, 0]
    assert list(read.failures()) == [Failure("a\\udcff.jpg", "read", "SourceError", "missing: a")]
    job.plan(0, pa.table({"path": [b"x"] * 3}))
    assert not read.progress().is_complete
    job.finish_plan(2, 4)
    now = read.progress()
    assert now.is_complete
    assert (now.shards, now.done, now.sources, now.images, now.failed) == (2, 2, 4, 3, 1)
    assert now.images_per_second == 4 / 3  # the shards overlap by a second
    assert now.seconds_left == 0


def test_equal_rows_give_equal_bytes(job, tmp_path):
    rows = [record(f"r{number}", number) for number in range(5_000)]
    one = job.write(0, rows)
    two = JobWriter.create(str(tmp_path / "other"), ABOUT).write(7, iter(rows))
    assert one.sha256 == two.sha256
    file = pq.ParquetFile(tmp_path / "other/vectors/000007.parquet")
    groups = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    assert groups == [2_000, 2_000, 1_000]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_vectors_are_written_without_a_dictionary(tmp_path):
    """With one, a row of 128 numbers took 790 bytes instead of 510."""
    vectors = np.random.default_rng(1).normal(size=(2_000, 128)).astype(np.float32)
    job = JobWriter.create(
        str(tmp_path / "job"), JobDescription(Schema(128), {"model": "lite"}, 2_000)
    )
    job.write(0, (Record(f"{place:064x}", row) for place, row in enumerate(vectors)))
    size = (tmp_path / "job/vectors/000000.parquet").stat().st_size
    assert size < 2_000 * 128 * 4


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Record("a", np.full(4, np.nan, np.float32), {}), VectorInvalid),
        (Record("a", np.zeros(4, np.float32), {}), VectorInvalid),
        (Record("", unit(0), {}), FieldInvalid),
        (Record("a", unit(0), {"year": "1999"}), FieldInvalid),
    ],
)
def test_invalid_rows_are_never_written(job, tmp_path, bad, error):
    with pytest.raises(error):
        job.write(0, [record("b"), bad])
    assert job.shards() == []
    assert not list((tmp_path / "jöb").glob("vectors/*"))
    assert not list((tmp_path / "jöb/drafts").iterdir())


def test_tries_are_counted_until_the_shard_is_done(job):
    assert [job.begin(4), job.begin(4), job.begin(5)] == [1, 2, 1]
    assert job.tries() == {4: 2, 5: 1}
    job.begin(4)
    assert job.progress().abandoned == (4,)
    job.write(4, [])
    assert job.tries() == {5: 1}
    assert next(iter(job.vectors()), None) is None


def test_shard_that_comes_further_is_not_given_up(job):
    for images in (512, 512, 1_024, 512, 512):
        assert not job.is_given_up(7)
        job.reach(7, job.begin(7), images)
    assert job.tries() == {7: 5}
    assert job.abandoned() == ()
    job.reach(7, job.begin(7), 512)
    assert job.abandoned() == (7,)
    assert job.retry() == (7,)
    assert (job.tries(), job.abandoned(), job.retry()) == ({7: 1}, (), ())


def test_job_is_recognized_by_its_file(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in ("jöb", "./jöb/", "vectors:jöb", job.url, tmp_path / "jöb"):
        with connect(url) as store:
            assert store.url == f"vectors://{tmp_path}/jöb"
    with pytest.raises(CollectionNotFound, match=r"no job in .*none"):
        connect("vectors:none")
    with pytest.raises(ConfigError):
        connect("none")
    with pytest.raises(BackendError, match="holds a job already"):
        JobWriter.create("jöb", ABOUT)


@pytest.mark.parametrize("url", ["vectors:", "vectors:a\0b", "vectors:~nobody-at-all/x", "s3://B"])
def test_invalid_url_is_refused(url):
    with pytest.raises(ConfigError):
        JobFolder.open(url)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not written by imgsearch"),
        ("[]", "not written by imgsearch"),
        ('{"format": 1}', "not written by imgsearch"),
        (json.dumps({"format": FORMAT + 1}), "Upgrade"),
    ],
)
def test_unknown_description_is_refused(tmp_path, content, message):
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(SchemaMismatch, match=message):
        connect(tmp_path)


def test_damaged_files_are_named(job, tmp_path):
    job.write(0, [record("a")])
    folder = tmp_path / "jöb"
    (folder / "done/000000.json").write_text('{"rows": 1')
    with pytest.raises(BackendError, match=r"done/000000.json is damaged"):
        job.outcome(0)
    (folder / "planned.json").write_text("[]")
    (folder / "done/000000.json").write_text("{}")
    with pytest.raises(BackendError, match="damaged"):
        job.progress()
    (folder / "vectors/000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(BackendError, match=r"vectors/000000.parquet cannot be read"):
        list(job.vectors())
    (folder / "vectors/000000.parquet").unlink()
    with pytest.raises(BackendError, match="it does not exist"):
        list(job.vectors())
