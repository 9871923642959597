"""The command `embed`, and `info` of a job."""

import json

import pytest

from tests import pictures


@pytest.fixture
def job(run, tmp_path):
    """Embed four pictures and a damaged file, in shards of three."""
    pictures.write(tmp_path / "fotos", 4)
    (tmp_path / "fotos/kaputt.jpg").write_bytes(b"")
    (tmp_path / "fotos/liste.txt").write_text("x")
    result = run("embed", "fotos", "--to", "job", "--model", "classic", "--shard", 3)
    assert result.exit_code == 0, result.output
    assert "s; 1 failed (listed below), 1 other file ignored\n" in result.stderr
    assert "kaputt.jpg" in result.stderr
    return tmp_path / "job"


def test_job_that_is_done_says_so(run, job):
    result = run("embed", "--to", "job")
    assert result.exit_code == 0
    assert "nothing to do: 2 shards are done" in result.stderr
    result = run("embed", "fotos", "--to", "job", "--json")
    report = json.loads(result.stdout)
    assert (report["added"], report["skipped"], report["job"]["done"]) == (0, 5, 2)


def test_info_shows_progress(run, job):
    result = run("info", "job", "--json")
    about = json.loads(result.stdout)
    assert about["complete"]
    assert (about["shards"], about["images"], about["failed"]) == (2, 4, 1)
    assert (about["seconds_left"], about["encoder"]["model"]) == (0, "classic")
    assert about["images_per_second"] > 0
    lines = run("info", "job").stdout.splitlines()
    assert lines[0] == f"url\tvectors://{job}"
    assert "shards\t2 of 2 done" in lines
    (job / "done/000001.json").unlink()
    (job / "planned.json").unlink()
    lines = run("info", "job").stdout.splitlines()
    assert {"shards\t1 of 2 done", "sources\tabout 6, not all listed yet"} <= set(lines)
    assert "time left\tunknown" in lines


def test_job_is_searched_and_copied_like_a_store(run, job):
    picture = min((job.parent / "fotos").glob("*.png"))
    result = run("search", picture, "--db", "job", "--json")
    assert json.loads(result.stdout)[0]["fields"]["path"] == str(picture)
    assert run("copy", "job", "kopie.parquet").exit_code == 0
    assert "4 images" not in run("info", "--db", "job").output
    result = run("add", "fotos", "--db", "job")
    assert result.exit_code == 1
    assert "read-only" in result.stderr


def test_job_is_measured_like_a_store(run, tmp_path):
    for number, label in enumerate(("hell", "größe")):
        (tmp_path / "fotos" / label).mkdir(parents=True)
        pictures.write(tmp_path / "fotos" / label, 6, start=6 * number)
    assert run("embed", "fotos", "--to", "job", "--model", "classic", "--shard", 5).exit_code == 0
    before = sorted((tmp_path / "job").rglob("*"))
    measured = run("evaluate", "--db", "job").stdout.splitlines()
    assert measured[0].startswith("measure\tmean")
    grouped = run("dedup", "--db", "job", "--sample", 4, "--json")
    assert grouped.exit_code in (0, 1)
    refused = run("tune", "--db", "job")
    assert (refused.exit_code, "--in milvus://" in refused.stderr) == (1, True)
    tuned = run("tune", "--db", "job", "--in", "memory://")
    assert "imgsearch copy job memory:// --collection images" in tuned.output
    for result in (grouped, run("threshold", "--db", "job")):
        assert "read-only" not in result.stderr.partition("no threshold is kept")[0]
    assert sorted((tmp_path / "job").rglob("*")) == before


def test_failures_are_reported(run, tmp_path):
    pictures.write(tmp_path / "fotos", 1)
    (tmp_path / "fotos/kaputt.jpg").write_bytes(b"")
    run("embed", "fotos", "--to", "job", "--model", "classic", "--report", "bericht.jsonl")
    (line,) = (tmp_path / "bericht.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["path"].endswith("kaputt.jpg")


def test_missing_job_is_an_error(run):
    result = run("embed", "--to", "job")
    assert (result.exit_code, "imgsearch embed SOURCE --to" in result.stderr) == (1, True)
    result = run("info", "job")
    assert (result.exit_code, "no job in" in result.stderr) == (1, True)
    assert run("embed", "x", "--to", "job", "--engine", "spark").exit_code == 2
