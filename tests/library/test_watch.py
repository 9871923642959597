"""Watched folders: a batch of changes ends after a quiet moment."""

import threading

import pytest

from imgsearch.errors import SourceError
from imgsearch.library import watch
from tests.pictures import write

pytest.importorskip("watchfiles", reason="watchfiles is not installed: pip install '.[watch]'")


def test_changes_are_reported_once_a_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_TICK", 50)
    stop = threading.Event()
    batches = watch.changes([tmp_path], stop=stop)
    next(batches)  # the folder is watched
    writer = threading.Timer(0, write, (tmp_path / "größe", 3))
    writer.start()
    next(batches)
    writer.join()
    stop.set()
    assert list(batches) == []


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="does not exist, so it is not watched"):
        next(watch.changes([tmp_path / "nein"]))
