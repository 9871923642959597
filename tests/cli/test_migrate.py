"""The command migrate."""

import json
import uuid

import pytest

import imgsearch
from tests.archive.place import archive, images, jpeg
from tests.pictures import write


@pytest.fixture
def photos(tmp_path):
    """Return six pictures in two classes."""
    return write(tmp_path / "fotos/hund", 3) + write(tmp_path / "fotos/katze", 3, start=3)


@pytest.fixture
def library(photos):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(photos[0].parents[1])
        yield opened


def test_models_are_compared_before_the_switch(run, library):
    done = run("migrate", "--db", library.url, "--model", "lite")
    assert done.exit_code == 0, done.output
    measures = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert measures == [
        "",
        "precision@10 of labels",
        "recall@10 of labels",
        "changed copies found first",
        "same neighbors, first 10",
        "same nearest image",
    ]
    assert done.stdout.startswith("\tclassic\tlite\n")
    assert "6 embedded, 0 before, 0 images cannot be embedded" in done.stderr
    assert "searches still use classic: pass --yes to switch" in done.stderr
    assert library.model == "classic"


def test_yes_switches_and_drop_old_drops(run, library):
    done = run("migrate", "--db", library.url, "--model", "lite", "--yes", "--sample", "0")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "searches use lite now. --drop-old deletes the vectors of classic" in done.stderr
    assert library.model == "lite"
    done = run("migrate", "--db", library.url, "--drop-old")
    assert (done.exit_code, done.stderr) == (0, "1 former collection dropped\n")
    assert library.count() == 6
    done = run("migrate", "--db", library.url, "--model", "lite", "--yes", "--drop-old", "--json")
    facts = json.loads(done.stdout)
    assert (done.exit_code, facts["switched"], facts["dropped"]) == (0, True, 0)


def test_missing_files_prevent_the_switch(run, library, photos, tmp_path):
    photos[0].unlink()
    words = ("migrate", "--db", library.url, "--model", "lite", "--yes", "--sample", "0")
    done = run(*words, "--report", "fehler.jsonl")
    assert done.exit_code == 1
    assert "1 image cannot be embedded" in done.stderr
    assert "restore the files, or pass --skip-missing" in done.stderr
    assert str(photos[0]) in done.stderr
    (line,) = (tmp_path / "fehler.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["path"] == str(photos[0])
    assert library.model == "classic"
    done = run(*words, "--skip-missing", "--json")
    facts = json.loads(done.stdout)
    assert (done.exit_code, facts["switched"], facts["missing"]) == (0, True, 1)
    assert (library.model, library.count()) == ("lite", 5)


def test_dry_run_and_discard(run, library, photos):
    photos[0].unlink()
    words = ("migrate", "--db", library.url, "--model", "lite")
    facts = json.loads(run(*words, "--dry-run", "--json").stdout)
    assert (facts["missing"], facts["load"]["added"], facts["switched"]) == (1, 0, False)
    assert "comparison" not in facts
    facts = json.loads(run(*words, "--json").stdout)
    assert (facts["load"]["added"], facts["comparison"]["queries"]) == (5, 5)
    done = run("migrate", "--db", library.url, "--discard")
    assert done.stderr == "1 unfinished migration discarded\n"
    done = run("migrate", "--db", library.url, "--discard")
    assert done.stderr == "0 unfinished migrations discarded\n"


def test_model_or_another_task_is_required(run, library):
    done = run("migrate", "--db", library.url)
    assert done.exit_code == 2
    assert "name the new --model" in done.stderr
    done = run("migrate", "--db", library.url, "--discard", "--model", "lite")
    assert (done.exit_code, "omit --model" in done.stderr) == (2, True)


@pytest.mark.long
def test_archive_is_migrated_from_its_originals(run, tmp_path):
    (tmp_path / "dienst").mkdir()
    with archive(tmp_path / "dienst") as store:
        store.add(images(0, 3))
    words = ("migrate", "--data", tmp_path / "dienst", "--yes", "--model", "lite")
    done = run(*words, "--json")
    facts = json.loads(done.stdout)
    assert (facts["switched"], facts["load"]["added"], facts["missing"]) == (True, 3, 0)
    assert facts["comparison"]["copies"]["n"] == 12  # 4 changes of each original
    with archive(tmp_path / "dienst") as store:
        assert store.library().model == "lite"
        assert store.search(jpeg(2))[0].entry.name == "bild ü 2.jpg"
