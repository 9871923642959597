"""`imgsearch tune` prints a table, JSON, and commands that run."""

import json
import shlex

import numpy as np
import pytest

from imgsearch.backends import Index, Schema, connect
from imgsearch.types import Fingerprint, Record
from tests.pictures import write


@pytest.fixture
def filled(tmp_path):
    """Return an embedded store of 400 vectors under HNSW, in a folder whose name needs quotes."""
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


@pytest.mark.long
def test_table_is_on_standard_output_and_messages_on_standard_error(run, filled):
    done = run("tune", "--db", filled, "--queries", 50, "--index", "flat", "--index", "hnsw@10,400")
    assert done.exit_code == 0, done.output
    header, flat, low, high, *commands = done.stdout.splitlines()
    assert header.split() == "recall p50 p95 p99 build MB* B/vec* disk index@effort".split()  # noqa: SIM905
    assert flat.split()[0] == "1.0000"
    assert flat.split()[-1] == "flat"
    assert [line.rpartition("@")[2].strip() for line in (low, high)] == ["10", "400"]
    assert all(command.strip().startswith("imgsearch ") for command in commands)
    assert commands
    assert "50 queries, left out of the 350 vectors" in done.stderr.replace("\n", " ")
    assert "below about 50,000" in done.stderr
    assert "by formula" in done.stderr
    assert held(filled) == {"images": 400}


@pytest.mark.long
def test_small_collection_keeps_its_index(run, filled):
    words = ("tune", "--db", filled, "--queries", 20, "--index", "flat", "--index", "hnsw@400")
    done = run(*words)
    assert "Keep hnsw:" in done.stderr
    assert "copy" not in done.stdout
    result = json.loads(run(*words, "--json").stdout)
    assert (result["stay"], result["best"]["effort"]) == (True, 400)


@pytest.mark.long
def test_json_option_prints_only_json_and_its_commands_run(run, filled, tmp_path):
    words = ("tune", "--db", filled, "--queries", 50, "--json")
    done = run(*words, "--index", "ivf_flat:nlist=8@8")
    assert (done.exit_code, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    (only,) = result["measurements"]
    assert result["best"] == only
    assert only["recall"] == 1.0  # all eight cells
    assert only["disk"] > 0
    copy, search = map(shlex.split, result["commands"])
    assert copy[:4] == ["imgsearch", "copy", filled, filled]
    assert search[-2:] == ["--effort", "8"]
    assert run(*copy[1:]).exit_code == 0
    with connect(filled) as store:
        collection = store.open("images_ivf_flat")
        assert (str(collection.schema.index), collection.count()) == ("ivf_flat:nlist=8", 400)
    again = json.loads(run(*words, "--index", "ivf_flat:nlist=8@8").stdout)
    assert "images_ivf_flat_2" in again["commands"][0]


@pytest.mark.long
def test_existing_index_is_measured_without_a_copy(run, filled):
    result = json.loads(run("tune", "--db", filled, "--index", "hnsw@400", "--json").stdout)
    (search,) = result["commands"]
    assert "--collection images -k 10 --effort 400" in search


@pytest.mark.long
def test_trials_in_another_store_are_removed(run, filled, tmp_path):
    other_store = str(tmp_path / "anders.db")
    result = json.loads(
        run("tune", "--db", filled, "--in", other_store, "--index", "flat", "--json").stdout
    )
    assert result["url"].endswith("anders.db")
    assert shlex.split(result["commands"][0])[1:4] == ["copy", filled, other_store]
    assert held(other_store) == {}


@pytest.mark.long
def test_missed_target_is_reported(run, filled):
    done = run("tune", "--db", filled, "--index", "ivf_flat:nlist=64@1", "--target", 1)
    assert done.exit_code == 0
    assert "no index reaches a recall of 1" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_search_accepts_the_effort(run, tmp_path):
    (picture, *_) = write(tmp_path / "bilder", 5)
    assert run("add", "bilder", "--json").exit_code == 0
    hits = json.loads(run("search", picture, "--effort", 64, "--json").stdout)
    assert hits[0]["score"] == pytest.approx(1, abs=1e-4)
    assert run("search", picture, "--effort", 0).exit_code == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--index", "baum"], 1, "unknown index"),
        (["--index", "flat@3"], 1, "invalid effort"),
        (["--collection", "nirgends"], 1, "nirgends"),
        (["--target", "1.5"], 2, "1.5"),
        (["--queries", "0"], 2, "0"),
    ],
)
def test_error_is_one_line(run, filled, words, code, message):
    done = run("tune", "--db", filled, *words)
    assert done.exit_code == code, done.output
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.output


def test_missing_store_is_not_created(run, tmp_path):
    done = run("tune", "--db", "vertippt.db")
    assert done.exit_code == 1
    assert not (tmp_path / "vertippt.db").exists()


def test_help_has_examples(run):
    assert "--index hnsw:M=16@32,64,128 --index hnsw:M=32" in run("tune", "--help").stdout
