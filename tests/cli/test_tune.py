"""imgsearch tune, as a person at a terminal meets it: a table, JSON, and commands that run."""

import json
import shlex

import numpy as np
import pytest

from imgsearch.backends import Index, Schema, connect
from imgsearch.types import Fingerprint, Record
from tests.pictures import write


@pytest.fixture
def filled(tmp_path):
    """An embedded store of 400 vectors under HNSW, in a folder with a name to be quoted."""
    url = str(tmp_path / "meine bilder 猫.db")
    rows = np.random.default_rng(7).normal(size=(400, 8)).astype(np.float32)
    with connect(url) as store:
        schema = Schema(8, "cosine", Index("hnsw"), {"path": "str"}, Fingerprint("toy", 8))
        collection = store.create("images", schema)
        collection.upsert(
            Record(f"id-{place}", row, {"path": f"猫/{place}.jpg"})
            for place, row in enumerate(rows)
        )
        collection.flush()
    return url


def held(url):
    with connect(url) as store:
        return {name: store.open(name).count() for name in store.names()}


def test_the_table_is_the_result_and_all_else_is_on_standard_error(run, filled):
    done = run("tune", "--db", filled, "--queries", 50, "--index", "flat", "--index", "hnsw@10,400")
    assert done.exit_code == 0, done.output
    header, flat, low, high, *commands = done.stdout.splitlines()
    assert header.split() == "recall p50 p95 p99 build MB* disk index@effort".split()  # noqa: SIM905
    assert flat.split()[0] == "1.0000"
    assert flat.split()[-1] == "flat"
    assert [line.rpartition("@")[2].strip() for line in (low, high)] == ["10", "400"]
    assert all(command.strip().startswith("imgsearch ") for command in commands)
    assert commands
    assert "50 queries, left out of the 350 vectors" in done.stderr.replace("\n", " ")
    assert "below about 50,000" in done.stderr
    assert "by formula" in done.stderr
    assert held(filled) == {"images": 400}


def test_a_small_collection_keeps_its_index(run, filled):
    words = ("tune", "--db", filled, "--queries", 20, "--index", "flat", "--index", "hnsw@400")
    done = run(*words)
    assert "Stay where you are: hnsw:" in done.stderr
    assert "copy" not in done.stdout
    result = json.loads(run(*words, "--json").stdout)
    assert (result["stay"], result["best"]["effort"]) == (True, 400)


def test_json_is_all_that_json_prints_and_its_commands_run(run, filled, tmp_path):
    words = ("tune", "--db", filled, "--queries", 50, "--json")
    done = run(*words, "--index", "ivf_flat:nlist=8@8")
    assert (done.exit_code, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    (only,) = told["measurements"]
    assert told["best"] == only
    assert only["recall"] == 1.0  # all eight cells
    assert only["disk"] > 0
    copy, search = map(shlex.split, told["commands"])
    assert copy[:4] == ["imgsearch", "copy", filled, filled]
    assert search[-2:] == ["--effort", "8"]
    assert run(*copy[1:]).exit_code == 0
    with connect(filled) as store:
        made = store.open("images_ivf_flat")
        assert (str(made.schema.index), made.count()) == ("ivf_flat:nlist=8", 400)
    again = json.loads(run(*words, "--index", "ivf_flat:nlist=8@8").stdout)
    assert "images_ivf_flat_2" in again["commands"][0]


def test_the_index_that_is_there_needs_no_copy(run, filled):
    told = json.loads(run("tune", "--db", filled, "--index", "hnsw@400", "--json").stdout)
    (search,) = told["commands"]
    assert "--collection images -k 10 --effort 400" in search


def test_trials_stand_in_another_store_and_leave_nothing_there(run, filled, tmp_path):
    there = str(tmp_path / "anders.db")
    told = json.loads(
        run("tune", "--db", filled, "--in", there, "--index", "flat", "--json").stdout
    )
    assert told["url"].endswith("anders.db")
    assert shlex.split(told["commands"][0])[1:4] == ["copy", filled, there]
    assert held(there) == {}


def test_none_that_reaches_the_target_is_said(run, filled):
    done = run("tune", "--db", filled, "--index", "ivf_flat:nlist=64@1", "--target", 1)
    assert done.exit_code == 0
    assert "none reaches a recall of 1" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_search_takes_the_effort(run, tmp_path):
    (picture, *_) = write(tmp_path / "bilder", 5)
    assert run("add", "bilder", "--json").exit_code == 0
    hits = json.loads(run("search", picture, "--effort", 64, "--json").stdout)
    assert hits[0]["score"] == pytest.approx(1, abs=1e-4)
    assert run("search", picture, "--effort", 0).exit_code == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--index", "baum"], 1, "unknown index"),
        (["--index", "flat@3"], 1, "no effort"),
        (["--collection", "nirgends"], 1, "nirgends"),
        (["--target", "1.5"], 2, "1.5"),
        (["--queries", "0"], 2, "0"),
    ],
)
def test_an_error_is_one_line(run, filled, words, code, message):
    done = run("tune", "--db", filled, *words)
    assert done.exit_code == code, done.output
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.output


def test_a_store_that_is_not_there_is_not_made(run, tmp_path):
    done = run("tune", "--db", "vertippt.db")
    assert done.exit_code == 1
    assert not (tmp_path / "vertippt.db").exists()


def test_help_has_examples(run):
    assert "--index hnsw:M=16@32,64,128 --index hnsw:M=32" in run("tune", "--help").stdout
