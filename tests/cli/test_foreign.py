"""Commands on a collection without a recorded encoder, as created by other programs."""

import json

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch.backends import Schema
from imgsearch.types import Record
from tests.pictures import picture, write, write_shade

URL = "memory://cli-foreign"  # kept until the process ends


@pytest.fixture
def run(run, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_DB", URL)
    return run


@pytest.fixture
def pictures(tmp_path):
    """Return twelve files of three labels, whose vectors are in a collection without an encoder."""
    files = [
        path
        for place, label in enumerate(("猫", "hund", "maus"))
        for path in write(tmp_path / label, 4, start=4 * place)
    ]
    write_shade(tmp_path / "猫", 4, bright=False)  # so that two labels differ
    write_shade(tmp_path / "hund", 4, start=4, bright=True)
    lighter = np.minimum(picture(10), 250) + np.uint8(2)
    Image.fromarray(lighter).save(files[11])  # a near-duplicate of files[10]
    with imgsearch.open("memory://", model="classic") as library:
        library.add(tmp_path)
        records = list(library.collection.iterate())
        dim = library.collection.schema.dim
    with imgsearch.connect(URL) as store:
        fields = {"file": "str", "class": "str"}
        store.create("images", Schema(dim, fields=fields)).upsert(
            Record(
                f"row {place}",
                record.vector,
                {"file": record.fields["path"], "class": record.fields["label"]},
            )
            for place, record in enumerate(records)
        )
        yield files
        store.drop("images")


@pytest.mark.parametrize(
    "words",
    [
        ["add", "hund"],
        ["add", "hund", "--model", "classic"],
        ["remove", "row 1"],
        ["dedup", "--remove", "--yes", "--model", "classic"],
        ["dedup", "--remove", "--yes", "--threshold", "0.5"],
    ],
)
def test_writing_commands_reject_a_foreign_collection(run, pictures, words):
    done = run(*words)
    assert done.exit_code == 1, done.output
    assert "does not say which encoder made its vectors, so imgsearch does not write" in done.stderr
    with imgsearch.connect(URL) as store:
        assert store.open("images").count() == 12
        assert store.names() == ["images"]


@pytest.mark.parametrize("command", [["search", "hund"], ["threshold"], ["dedup"]])
def test_encoding_commands_require_the_encoder(run, pictures, command):
    done = run(*command)
    assert done.exit_code == 1, done.output
    assert done.stderr.splitlines()[-1].endswith(
        "does not say which encoder made its vectors. Name that encoder: "
        'model="NAME", or --model NAME.'
    )


def test_search_warns_about_an_unverified_encoder(run, pictures):
    done = run("search", pictures[0], "--model", "classic", "--json", "-k", "1")
    assert json.loads(done.stdout)[0]["fields"]["file"] == str(pictures[0])
    assert done.stderr.startswith("Warning: nothing vouches that 'classic' made the vectors of")
    assert len(done.stderr.splitlines()) == 1


def test_info_shows_a_missing_encoder(run, pictures):
    facts = json.loads(run("info", "--json").stdout)
    assert (facts["encoder"], facts["weights"], facts["foreign"]) == (None, None, False)
    assert "does not say which encoder" in run("info").stderr


NAMES = ("--path-field", "file", "--label-field", "class")


@pytest.mark.parametrize("condition", ["label=hund", "class=hund"])
def test_search_shows_and_filters_the_given_fields(run, pictures, condition):
    words = ("search", pictures[4], "--model", "classic", "--where", condition, *NAMES)
    hits = json.loads(run(*words, "--json").stdout)
    assert [hit["fields"]["label"] for hit in hits] == ["hund"] * 4
    assert hits[0]["fields"] == {"path": str(pictures[4]), "label": "hund"}
    assert pictures[4].name in run(*words).stdout


@pytest.mark.parametrize("model", ["classic", ""])
def test_evaluate_uses_the_given_label_field(run, pictures, model):
    named = ("--model", model) if model else ()
    done = run("evaluate", *NAMES, *named, "--json")
    assert done.exit_code == 0, done.output
    measured = json.loads(done.stdout)
    assert measured["encoder"]["model"] == (model or "unknown")
    assert measured["scored"] == 12
    note_text = "not record that classic made" if model else "not record which encoder made"
    assert any(note_text in note for note in measured["notes"])


def test_evaluate_and_tune_reject_an_encoder_of_another_dimension(run, pictures):
    for command in ("evaluate", "tune"):
        done = run(command, *NAMES, "--model", "lite")
        assert done.exit_code == 1
        assert "another encoder's vectors (dim:" in done.stderr


def test_tune_tries_indexes_on_the_vectors(run, pictures):
    words = ("tune", "--model", "classic", "--queries", "4", "--index", "flat", "-k", "2", "--json")
    done = run(*words, *NAMES)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["best"]["recall"] == 1
    assert result["commands"][-1].endswith("--model classic --path-field file --label-field class")
    assert run("tune", "--index", "flat", "-k", "2").stdout.endswith("--model NAME\n")


def test_threshold_is_measured_and_not_saved(run, pictures):
    done = run("threshold", "--model", "classic", *NAMES, "--precision", "0.1", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout).keys() == {"measured", "missing"}
    again = run("search", pictures[0], "--model", "classic", "--min-score", "auto")
    assert "no threshold for collection 'images': it does not say" in again.stderr


def test_dedup_shows_the_given_path_field(run, pictures):
    done = run("dedup", "--threshold", "0.95", *NAMES, "--json")
    assert done.exit_code == 0, done.output
    (group,) = json.loads(done.stdout)["groups"]
    paths = {row["fields"]["path"] for row in (group["kept"], *group["others"])}
    assert paths == {str(pictures[10]), str(pictures[11])}


def test_zero_vectors_are_skipped(run, pictures, monkeypatch):
    """Other programs write zeros for missing images; our own stores reject zero vectors."""
    with imgsearch.connect(URL) as store:
        store.open("images")._all.vectors[0] = 0
    with pytest.warns(RuntimeWarning, match="invalid value"):  # raised by exact cosine search
        done = run("evaluate", *NAMES, "--json")
    assert run("tune", "--index", "flat", "-k", "2").exit_code == 0
    notes = json.loads(done.stdout)["notes"]
    assert "1 drawn query has a vector that cannot be compared." in notes


def test_info_lists_the_given_fields(run, pictures):
    facts = json.loads(run("info", *NAMES, "--json").stdout)
    assert facts["fields"] == dict.fromkeys(("file", "class", "path", "label"), "str")


def test_missing_field_is_a_one_line_error(run, pictures):
    done = run("search", pictures[0], "--model", "classic", "--id-field", "pk")
    assert done.exit_code == 1
    assert done.stderr == "Error: the key of collection 'images' is the field 'id', not 'pk'\n"
