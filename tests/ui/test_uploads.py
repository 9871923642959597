"""Uploads are stored in a folder of the process and removed with it."""

import os

import pytest

from imgsearch.ui.uploads import locked, remove_abandoned
from tests.ui.conftest import Served


def test_uploads_are_removed_when_the_page_ends(drawn, tmp_path):
    import httpx

    served = Served(tmp_path, drawn)
    served.wait()
    sent = {"files": ("bild ü.png", b"not even an image", "image/png")}
    answer = httpx.post(f"{served.url}gradio_api/upload", files=sent)
    assert answer.status_code == 200
    (folder,) = served.temporary.glob("imgsearch-page-*")
    assert [path.read_bytes() for path in folder.rglob("*.png")] == [b"not even an image"]
    assert served.stop() == 0
    assert not folder.exists()


def test_folders_of_processes_that_were_killed_are_removed(tmp_path):
    pytest.importorskip("fcntl", reason="the system has no locks on folders")
    abandoned, alive, other, elsewhere = (
        tmp_path / name
        for name in ("imgsearch-page-1-a", "imgsearch-page-2-b", "imgsearch-pages", "foreign")
    )
    for folder in (abandoned, alive, other, elsewhere):
        folder.mkdir()
        (folder / "größe.png").touch()
    (tmp_path / "imgsearch-page-3-link").symlink_to(elsewhere)
    (tmp_path / "imgsearch-page-4-file").touch()
    lock = locked(alive)
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "imgsearch-page-2-b", "imgsearch-pages", "foreign", "imgsearch-page-3-link",
        "imgsearch-page-4-file",
    }  # fmt: skip
    assert all((folder / "größe.png").exists() for folder in (alive, other, elsewhere))
    os.close(lock)
    remove_abandoned(tmp_path)
    assert not alive.exists()
