"""`embed` gives the vectors and failures of `add`, by shards, and goes on after an interruption."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import imgsearch
from imgsearch.backends.vectors.folder import JobFolder
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    EncoderMismatch,
    ModelNotFound,
    SourceError,
)
from imgsearch.jobs import shard as shard_module
from imgsearch.library.progress import Report
from tests import pictures
from tests.jobs.mixed import NUMBER, Added, assert_same, files_of


def test_job_has_the_rows_and_failures_of_add(mixed, added, tmp_path):
    seen, failures = [], []
    job = imgsearch.embed(
        mixed, to=tmp_path / "job", model="lite", shard=16,
        on_progress=seen.append, on_failure=failures.append,
    )  # fmt: skip
    assert_same(job, added)
    assert len(added.failures) >= 7
    assert job.shards() == [0, 1, 2, 3, 4]
    report, progress = job.report, job.progress()
    assert report.added + report.skipped + report.failed == NUMBER == progress.sources
    assert (report.failed, len(failures)) == (len(added.failures),) * 2
    assert progress.is_complete
    assert progress.images_per_second > 0
    assert (seen[-1].found, seen[-1].done) == (NUMBER, NUMBER)
    assert [now.done for now in seen] == sorted(now.done for now in seen)
    (cut,) = {row["sha256"] for row in _failed(job) if "cut" in row["source"]}
    assert len(cut) == 64
    assert {row["sha256"] for row in _failed(job) if "link" in row["source"]} == {None}


def _failed(job):
    root = Path(job.files.title) / "failed"
    return [row for file in sorted(root.iterdir()) for row in pq.read_table(file).to_pylist()]


def test_job_that_is_done_does_nothing(mixed, tmp_path, monkeypatch):
    to = tmp_path / "job"
    first = files_of(imgsearch.embed(mixed, to=to, model="classic", shard=40))
    monkeypatch.setattr(shard_module, "_run", None)  # a shard that runs raises a TypeError
    for images in ((), (mixed,)):
        job = imgsearch.embed(*images, to=to)
        assert job.report.notes == ("nothing to do: 2 shards are done",)
        assert (job.report.added, job.report.skipped) == (0, NUMBER)
        assert files_of(job) == first


def test_shard_that_runs_again_has_equal_bytes(mixed, tmp_path):
    to = tmp_path / "job"
    first = files_of(imgsearch.embed(mixed, to=to, model="lite", shard=30))
    for name in ("done/000001.json", "done/000002.json", "vectors/000001.parquet"):
        (to / name).unlink()
    job = imgsearch.embed(to=to)
    assert files_of(job) == first
    assert job.report.skipped >= 30
    assert [job.outcome(shard).attempts for shard in (0, 1)] == [1, 2]


def test_new_images_become_new_shards(tmp_path):
    pictures.write(tmp_path / "a", 3)
    job = imgsearch.embed(tmp_path / "a", to=tmp_path / "job", model="classic")
    pictures.write(tmp_path / "a", 2, start=7)
    job = imgsearch.embed(tmp_path / "a", to=tmp_path / "job")
    assert (job.report.added, job.shards()) == (2, [0, 1])
    assert job.progress().images == 5


def test_interrupted_plan_goes_on(tmp_path, monkeypatch):
    pictures.write(tmp_path / "a", 9)
    job = imgsearch.embed(tmp_path / "a", to=tmp_path / "job", model="classic", shard=2)
    expected = Added.of_job(job)
    for name in ("plan/000004.parquet", "plan/000003.parquet", "planned.json"):
        (tmp_path / "job" / name).unlink()
    for folder in ("done", "vectors", "failed"):
        for file in (tmp_path / "job" / folder).glob("00000[34]*"):
            file.unlink()
    job = JobFolder.open(tmp_path / "job")
    assert not job.progress().is_complete
    job = imgsearch.embed(to=tmp_path / "job")
    assert job.progress().is_complete
    assert Added.of_job(job).records.keys() == expected.records.keys()


def test_lists_fields_and_images_in_memory_are_as_for_add(tmp_path):
    files = pictures.write(tmp_path, 4)
    rows = [
        f"{file.name},{label},{year}"
        for file, label, year in zip(files, ("a", "", "a", "ö"), (1999, "", 2024, "x"), strict=True)
    ]
    (tmp_path / "liste.csv").write_text("\n".join(["path,label,year", *rows]), encoding="utf-8")
    pixels = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    sources = [tmp_path / "liste.csv", [("eins.png", pixels), pixels[:5], files[0].read_bytes()]]
    options = {"model": "classic", "fields": {"year": int}, "exif": ["width", "height"]}
    with imgsearch.open("memory://", collection="lists", **options) as library:
        report = library.add(*sources)
        added = Added(
            {row.id: row for row in library.collection.iterate()},
            sorted((f.path, f.stage, f.error, f.reason) for f in report.failures),
        )
        schema = library.collection.schema
    job = imgsearch.embed(*sources, to=tmp_path / "job", shard=100, **options)
    assert_same(job, added)
    assert (len(added.records), len(added.failures)) == (5, 1)
    assert job.schema == schema
    table = pq.read_table(tmp_path / "job/vectors/000000.parquet")
    assert table.column_names == ["id", "vector", "path", "label", *("height", "width", "year")]


def test_job_records_the_model_as_it_was_resolved(mixed, tmp_path):
    imgsearch.embed(mixed, to=tmp_path / "job", model="lite", shard=1000)
    about = json.loads((tmp_path / "job/job.json").read_text("utf-8"))
    assert about["recipe"]["options"] == {"runtime": "onnx", "precision": "f32"}
    assert about["schema"]["encoder"]["runtime"] == "onnx f32"
    assert {"imgsearch", "numpy", "onnxruntime"} <= about["versions"].keys()
    assert about["sources"] == [str(mixed)]


def test_other_weights_than_the_jobs_are_refused(tmp_path):
    pictures.write(tmp_path / "a", 2)
    imgsearch.embed(tmp_path / "a", to=tmp_path / "job", model="classic")
    file = tmp_path / "job/job.json"
    about = json.loads(file.read_text())
    about["schema"]["encoder"]["weights"] = "0" * 64
    file.write_text(json.dumps(about))
    for folder in ("done", "tried"):
        shutil.rmtree(tmp_path / "job" / folder)
    with pytest.raises(EncoderMismatch, match="weights"):
        imgsearch.embed(to=tmp_path / "job")
    assert JobFolder.open(tmp_path / "job").tries() == {}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ConfigError),
        ({"images": ["nowhere"]}, SourceError),
        ({"images": ["."], "model": "nope"}, ModelNotFound),
        ({"images": ["."], "engine": "spark"}, ConfigError),
        ({"images": ["."], "cluster": "auto"}, ConfigError),
        ({"images": ["."], "shard": 0}, ConfigError),
        ({"images": ["."], "shard": True}, ConfigError),
        ({"images": ["."], "frames": "x"}, ConfigError),
        ({"images": ["."], "metric": "x"}, ConfigError),
    ],
)
def test_invalid_options_leave_no_job(tmp_path, monkeypatch, options, error):
    monkeypatch.chdir(tmp_path)
    pictures.write(tmp_path, 1)
    images = options.pop("images", [])
    with pytest.raises(error):
        imgsearch.embed(*images, to="job", **options)
    with pytest.raises(CollectionNotFound):
        JobFolder.open("job")


def test_other_model_than_the_jobs_is_refused(tmp_path):
    pictures.write(tmp_path / "a", 1)
    imgsearch.embed(tmp_path / "a", to=tmp_path / "job", model="classic")
    with pytest.raises(EncoderMismatch, match="embeds with 'classic', not with 'lite'"):
        imgsearch.embed(tmp_path / "a", to=tmp_path / "job", model="lite")


def test_job_of_images_in_memory_needs_them_again(tmp_path):
    pixels = np.zeros((4, 4, 3), np.uint8)
    job = imgsearch.embed([pixels], to=tmp_path / "job", model="classic")
    assert isinstance(job.report, Report)
    (tmp_path / "job/planned.json").unlink()
    with pytest.raises(ConfigError, match="give them again"):
        imgsearch.embed(to=tmp_path / "job")
    assert imgsearch.embed([pixels], to=tmp_path / "job").report.skipped == 1


def test_plan_keeps_bytes_of_names(tmp_path):
    pictures.write(tmp_path / "a", 1)
    name = Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"/caf\xe9.png"))
    next((tmp_path / "a").iterdir()).rename(name)
    imgsearch.embed(tmp_path / "a", to=tmp_path / "job", model="classic")
    (path,) = pq.read_table(tmp_path / "job/plan/000000.parquet").column("path").to_pylist()
    assert path == os.fsencode(name)
    assert pa.types.is_binary(pq.read_schema(tmp_path / "job/plan/000000.parquet").field(0).type)


def test_fields_that_are_not_declared_are_named(tmp_path):
    rows = [
        {"path": path, "year": 2024, "city": "Ulm"}
        for path in map(str, pictures.write(tmp_path / "f", 2))
    ]
    job = imgsearch.embed(rows, to=tmp_path / "job", model="classic", fields={"year": int})
    assert job.report.notes == (
        "field 'city' is stored, but filters cannot use it. Declare it: "
        'imgsearch.embed(…, fields={"city": str})',
    )
