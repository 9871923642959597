"""The commands add, info and remove."""

import json
import shutil

import pytest

import imgsearch
from tests.pictures import write


@pytest.fixture
def loaded(run, tmp_path):
    write(tmp_path / "bilder/hund", 2)
    write(tmp_path / "bilder/katze", 2, start=2)
    with imgsearch.open("memory://removing", model="classic") as library:
        library.add(tmp_path / "bilder")
        yield tmp_path / "bilder"
        library.remove(tmp_path)


def remove(run, *words):
    return run("remove", *words, "--db", "memory://removing")


def test_remove_accepts_a_folder_and_a_glob_of_deleted_files(run, loaded):
    shutil.rmtree(loaded)
    done = remove(run, "bilder/hund")
    assert (done.exit_code, done.stderr) == (0, "Removed 2 images\n")
    done = remove(run, "bilder/*/*0002.png")
    assert (done.exit_code, done.stderr) == (0, "Removed 1 image\n")


@pytest.mark.parametrize("target", ["nope", "bilder/hun", "*.gif", "0" * 64])
def test_target_without_images_has_exit_status_1(run, loaded, target):
    done = remove(run, target)
    assert done.exit_code == 1
    assert f"not in the library: {target}" in done.stderr
    assert json.loads(remove(run, target, "--json").stdout) == {"removed": 0, "missing": [target]}


def test_missing_targets_are_named(run, loaded):
    done = remove(run, "bilder/hund", "nope", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"removed": 2, "missing": ["nope"]}
    assert done.stderr == "not in the library: nope\n"


def test_one_image_is_counted_in_the_singular(run, tmp_path):
    write(tmp_path / "bilder", 1)
    done = run("add", "bilder", "--db", "memory://ein-bild")
    assert "Added 1 image in" in done.stderr
    assert "The library has 1 image: memory://ein-bild\n" in done.stderr


def test_columns_of_a_list_become_fields(run, tmp_path):
    write(tmp_path / "bilder", 3)
    table = tmp_path / "bilder/liste.csv"
    rows = [f"bild-ü 000{place}.png,{2018 + place},Köln" for place in range(3)]
    table.write_text("\n".join(["path;year;city".replace(";", ","), *rows]), "utf-8")
    words = ("--db", "photos.db", "--model", "classic")
    added = run("add", table, *words, "--field", "year:int")
    assert added.exit_code == 0, added.output
    assert "liste.csv: 1 column was not added: 'city'; declare" in added.stderr.replace("\n", " ")
    search = ("search", tmp_path / "bilder/bild-ü 0000.png", "--db", "photos.db", "--json")
    hits = json.loads(run(*search, "--where", "year >= 2019").stdout)
    assert sorted(hit["fields"]["year"] for hit in hits) == [2019, 2020]
    listed = table.read_bytes().replace(b"bild-", b"bilder/bild-").replace(b"2018", b"1999")
    again = run("add", "-", "--db", "photos.db", input=listed)
    assert "standard input: 1 column was not added: 'city'" in again.stderr.replace("\n", " ")
    assert "1 updated, 2 skipped" in again.stderr
    everything = run("add", table, "--db", "photos.db", "--all-fields")
    assert "3 updated" in everything.stderr
    hits = json.loads(run(*search, "--where", "city = Köln and year = 2018").stdout)
    assert len(hits) == 1
    piped = run("add", "-", "--db", "memory://liste", "--all-fields", "--json", input=listed)
    assert json.loads(piped.stdout)["notes"][1:] == []  # all are declared; the first is the encoder
    wrong = run("add", table, *words, "--field", "year:date")
    assert (wrong.exit_code, "unknown type 'date'" in wrong.stderr) == (1, True)
