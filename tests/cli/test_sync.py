"""The command sync, and add --sync."""

import json
import shutil
import uuid

import pytest

from tests.pictures import write


@pytest.fixture
def db():
    return f"memory://{uuid.uuid4().hex}"


@pytest.mark.parametrize("words", [("sync",), ("add", "--sync")])
def test_sync_prints_counts_and_refuses_an_empty_folder(run, tmp_path, db, words):
    write(tmp_path / "größe", 3)
    first = run(*words, "größe", "--db", db, "--model", "classic")
    assert first.exit_code == 0, first.output
    assert "s: 3 added\n" in first.stderr
    shutil.rmtree(tmp_path / "größe")
    dry = run(*words, "größe", "--db", db, "--dry-run")
    assert dry.exit_code == 0
    assert "Dry run: 3 deleted" in dry.stderr
    assert "  must be confirmed: " in dry.stderr
    refused = run(*words, "größe", "--db", db)
    assert refused.exit_code == 1
    assert "Error: nothing was changed: " in refused.stderr
    confirmed = run(*words, "größe", "--db", db, "--yes", "--json")
    report = json.loads(confirmed.stdout)
    assert (report["deleted"], report["count"]) == (3, 0)
    assert report["deleted_paths"][0].endswith("bild-ü 0000.png")


def test_sync_refuses_to_replace_many_images(run, tmp_path, db):
    files = write(tmp_path / "größe", 12)
    run("sync", "größe", "--db", db, "--model", "classic")
    for place, file in enumerate(write(tmp_path / "other", 12, start=50)):
        file.rename(files[place])
    refused = run("sync", "größe", "--db", db)
    assert refused.exit_code == 1
    assert "12 of 12 images below" in refused.stderr
    assert "größe would be replaced. Check that the right drive is mounted." in refused.stderr
    searched = run("find", "größe/bild-ü 0000.png", "größe", "--db", db)
    assert "The folder was not updated: nothing was changed: 12 of 12" in searched.stderr
    confirmed = run("sync", "größe", "--db", db, "--yes", "--json")
    assert json.loads(confirmed.stdout)["changed"] == 12


def test_failures_are_written_to_the_report(run, tmp_path, db):
    write(tmp_path / "a", 1)
    (tmp_path / "a/kaputt.jpg").write_bytes(b"none")
    done = run("sync", "a", "--db", db, "--model", "classic", "--report", "bad.jsonl")
    assert done.exit_code == 0
    assert "kaputt.jpg" in done.stderr
    (line,) = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert json.loads(line)["path"].endswith("kaputt.jpg")
    run("add", "a", "--db", db, "--exclude", "kaputt*", "--report", "bad.jsonl")
    (line,) = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert json.loads(line) == {"path": "a/kaputt.jpg", "ignored": True}


def test_dry_run_of_add_needs_sync(run, tmp_path):
    done = run("add", "a", "--dry-run")
    assert (done.exit_code, "--dry-run and --yes need --sync" in done.stderr) == (2, True)
