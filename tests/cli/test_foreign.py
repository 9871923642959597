"""The commands on a collection that notes no encoder, as those of other programs do."""

import json

import pytest
from click.testing import CliRunner

import imgsearch
from imgsearch import settings
from imgsearch.backends import Schema
from imgsearch.cli import cli
from imgsearch.types import Record
from tests.pictures import write

URL = "memory://cli-foreign"  # kept until the process ends


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IMGSEARCH_DB", URL)

    def run(*words):
        return CliRunner().invoke(cli, [str(word) for word in words])

    return run


@pytest.fixture
def pictures(tmp_path):
    """Return twelve files of three labels, whose vectors an unmarked collection holds."""
    files = [
        path
        for place, label in enumerate(("猫", "hund", "maus"))
        for path in write(tmp_path / label, 4, start=4 * place)
    ]
    with imgsearch.open("memory://") as library:
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
        ["add", "hund", "--model", "mini"],
        ["remove", "row 1"],
        ["dedup", "--remove", "--yes", "--model", "mini"],
        ["dedup", "--remove", "--yes", "--threshold", "0.5"],
    ],
)
def test_commands_that_write_refuse_an_unmarked_collection(run, pictures, words):
    done = run(*words)
    assert done.exit_code == 1, done.output
    assert "does not say which encoder made its vectors, so nothing is added" in done.stderr
    with imgsearch.connect(URL) as store:
        assert store.open("images").count() == 12
        assert store.names() == ["images"]


@pytest.mark.parametrize("command", [["search", "hund"], ["threshold"], ["dedup"]])
def test_commands_that_encode_want_the_encoder_named(run, pictures, command):
    done = run(*command)
    assert done.exit_code == 1, done.output
    assert done.stderr.splitlines()[-1].endswith(
        "does not say which encoder made its vectors. Name that encoder: "
        'model="NAME", or --model NAME.'
    )


def test_search_by_a_named_encoder_says_that_nothing_shows_it(run, pictures):
    done = run("search", pictures[0], "--model", "mini", "--json", "-k", "1")
    assert json.loads(done.stdout)[0]["fields"]["file"] == str(pictures[0])
    assert done.stderr.startswith("Warning: nothing shows that 'mini' made the vectors of")
    assert len(done.stderr.splitlines()) == 1


def test_info_says_that_no_encoder_is_noted(run, pictures):
    facts = json.loads(run("info", "--json").stdout)
    assert (facts["encoder"], facts["weights"], facts["foreign"]) == (None, None, False)
    assert "does not say which encoder" in run("info").stderr
