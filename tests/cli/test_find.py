"""find adds a folder's new images, and searches the folder, in one command."""

import json
from pathlib import Path

import pytest

from tests.pictures import write
from tests.services.web_server import WebServer

CLASSIC = ("--model", "classic")


@pytest.fixture
def photos(run, tmp_path, monkeypatch):
    """Return a folder with two subfolders of pictures, which is the current folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write(tmp_path / "fotos/katzen", 2)
    write(tmp_path / "fotos/hunde", 2, start=2)
    monkeypatch.chdir(tmp_path / "fotos")
    return tmp_path / "fotos"


def test_new_images_are_added_and_found(run, photos, tmp_path):
    done = run("find", "katzen/bild-ü 0001.png", *CLASSIC, "-f", "-k", 2)
    assert done.exit_code == 0, done.output
    first, second = done.stdout.splitlines()
    assert first == str(photos / "katzen/bild-ü 0001.png")
    assert Path(second).parent.parent == photos
    assert "4 added" in done.stderr
    assert (tmp_path / "data/imgsearch").stat().st_mode & 0o777 == 0o700
    assert not (photos / "photos.db").exists()
    (new,) = write(photos, 1, start=5)
    hits = json.loads(run("find", new.name, *CLASSIC, "--json").stdout)
    assert (hits[0]["fields"]["path"], len(hits)) == (str(new), 5)


def test_renamed_and_deleted_files_are_followed(run, photos):
    query = "katzen/bild-ü 0001.png"
    assert run("find", query, *CLASSIC).exit_code == 0
    (photos / query).rename(photos / "umbenannt.png")
    (photos / "hunde/bild-ü 0002.png").unlink()
    done = run("find", "umbenannt.png", "-f", *CLASSIC)
    assert done.stdout.splitlines()[0] == str(photos / "umbenannt.png")
    assert len(done.stdout.splitlines()) == 3
    assert "1 renamed, 1 deleted" in done.stderr


def test_refused_sync_is_noted_and_the_folder_is_searched(run, photos, tmp_path):
    query = tmp_path / "anfrage.png"
    (photos / "katzen/bild-ü 0001.png").rename(query)
    assert run("find", query, *CLASSIC).exit_code == 0
    for file in photos.rglob("*.png"):
        file.unlink()
    done = run("find", query, "-f", *CLASSIC)
    assert "The folder was not updated: " in done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_query_image_by_url_is_downloaded(run, photos):
    with WebServer((photos / "hunde/bild-ü 0003.png").read_bytes()) as site:
        done = run("find", site.url, *CLASSIC, "--url-host", "127.0.0.1", "-f", "-k", 1)
        assert done.stdout.strip().endswith("bild-ü 0003.png"), done.output
        refused = run("find", site.url, *CLASSIC)
    assert (refused.exit_code, "no public address" in refused.stderr) == (1, True)


def test_only_the_folder_is_searched(run, photos):
    query = str(photos / "hunde/bild-ü 0003.png")
    assert run("find", query, "-0", *CLASSIC).stdout.count("\0") == 4
    for words in ((query, "katzen"), (query, str(photos / "katzen"))):
        lines = run("find", *words, "-f", *CLASSIC).stdout.splitlines()
        assert {Path(path).parent.name for path in lines} == {"katzen"}
    one = run("find", query, "-f", "--where", "label = katzen", *CLASSIC).stdout.splitlines()
    assert len(one) == 2
    assert run("find", query, "katzen", "--no-update").stdout.splitlines()[1].endswith(".png")


def test_text_is_found_without_options(run, photos):
    done = run("find", "a cat")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0].split() == ["rank", "score", "label", "path"]


def test_folder_without_images_finds_nothing(run, photos, tmp_path):
    (tmp_path / "leer").mkdir()
    done = run("find", "a cat", tmp_path / "leer")
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"No images found in {tmp_path / 'leer'}" in done.stderr


def test_store_of_the_user_is_used(run, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_DB", str(tmp_path / "mine.db"))
    assert run("find", "katzen/bild-ü 0001.png", *CLASSIC).exit_code == 0
    assert (tmp_path / "mine.db").exists()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "dog"), "'dog' is not a folder; put a text of several words in quotes"),
        (("a", "+"), "put each + and - between two terms"),
        (("a cat", "--json", "-f"), "--json and --paths exclude each other"),
        (("",), "the argument after 'find' is empty"),
    ],
)
def test_invalid_words_are_rejected_before_files_are_read(run, photos, tmp_path, words, message):
    done = run("find", *words)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert not (tmp_path / "data").exists()
