"""Options that several commands share."""

import pytest

from imgsearch.cli import options
from imgsearch.settings import Settings
from tests.pictures import write


def test_archive_uses_the_store_of_the_environment(run, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_DB", "photos.db")
    with options.open_archive(Settings.from_environment(), tmp_path / "a", None, new=True) as set_:
        assert set_.url == f"milvus-lite://{tmp_path / 'photos.db'}"
    monkeypatch.delenv("IMGSEARCH_DB")
    with options.open_archive(Settings.from_environment(), tmp_path / "b", None, new=True) as own:
        assert own.url == f"milvus-lite://{tmp_path / 'b/vectors.db'}"


def test_default_library_is_photos_db(run):
    assert "no library at photos.db" in run("info").stderr


def test_missing_collection_is_named_with_an_existing_one(run, tmp_path):
    write(tmp_path / "bilder", 1)
    assert run("add", "bilder", "--db", "memory://near", "--collection", "photos").exit_code == 0
    done = run("info", "--db", "memory://near", "--collection", "photo")
    assert done.exit_code == 1
    assert "did you mean photos?" in done.stderr


@pytest.mark.parametrize("value", ["nan", "inf", "1,nan"])
def test_option_numbers_must_be_finite(run, value):
    done = run("add", ".", "--model", "resnet50", "--option", f"mean={value}")
    assert done.exit_code == 1
    assert "option 'mean' takes finite numbers" in done.stderr
