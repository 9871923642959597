"""sync --watch as a process: it follows a folder, and ends with Ctrl-C or an error."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.pictures import write

pytest.importorskip("watchfiles", reason="watchfiles is not installed: pip install '.[watch]'")
pytestmark = pytest.mark.process


@pytest.fixture
def watching(tmp_path):
    write(tmp_path / "bilder", 2)
    words = ["sync", "bilder", "--db", "ü.db", "--model", "classic", "--watch"]
    process = subprocess.Popen(
        [sys.executable, "-m", "imgsearch", *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "300"},  # noqa: TID251
    )
    yield process
    process.kill()
    process.communicate()


def until(process, text):
    """Read lines until one has the text."""
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"ended without {text!r}")


def test_watch_follows_a_folder_and_ends_on_ctrl_c(watching, tmp_path):
    until(watching, "2 added")
    until(watching, "Watching the folders")
    write(tmp_path / "bilder", 1, start=5)
    until(watching, "1 added, 2 unchanged")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(60) == 0


def test_watch_ends_with_an_error_if_the_folder_is_emptied(watching, tmp_path):
    until(watching, "Watching the folders")
    shutil.rmtree(tmp_path / "bilder")
    until(watching, "Error: ")  # the sync is refused, or the folder cannot be watched
    assert watching.wait(60) == 1
