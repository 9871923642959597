"""Options that several commands share."""

import pytest

from imgsearch.cli import options
from imgsearch.settings import Settings
from tests.pictures import write


def test_an_archive_takes_the_store_that_the_environment_names_also_the_default(
    run, tmp_path, monkeypatch
):
    monkeypatch.setenv("IMGSEARCH_DB", "photos.db")
    with options.opened_archive(
        Settings.from_environment(), tmp_path / "a", None, new=True
    ) as set_:
        assert set_.url == f"milvus-lite://{tmp_path / 'photos.db'}"
    monkeypatch.delenv("IMGSEARCH_DB")
    with options.opened_archive(Settings.from_environment(), tmp_path / "b", None, new=True) as own:
        assert own.url == f"milvus-lite://{tmp_path / 'b/vectors.db'}"


def test_a_library_is_photos_db_where_nothing_names_one(run):
    assert "no library at photos.db yet" in run("info").stderr


def test_a_collection_that_is_not_there_is_named_with_one_that_is(run, tmp_path):
    write(tmp_path / "bilder", 1)
    assert run("add", "bilder", "--db", "memory://near", "--collection", "photos").exit_code == 0
    done = run("info", "--db", "memory://near", "--collection", "photo")
    assert done.exit_code == 1
    assert "did you mean photos?" in done.stderr


@pytest.mark.parametrize("value", ["nan", "inf", "1,nan"])
def test_an_options_number_is_finite(run, value):
    done = run("add", ".", "--model", "resnet50", "--option", f"mean={value}")
    assert done.exit_code == 1
    assert "option 'mean' takes finite numbers" in done.stderr
