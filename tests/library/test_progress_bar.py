"""The progress bar of a load: in a terminal by itself, never in a pipe."""

import os
import pty
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from imgsearch.library.progress import Progress
from imgsearch.library.progress_bar import progress_bar
from tests.pictures import write

CODE = """
import sys, imgsearch
with imgsearch.open("memory://", model="classic") as library:
    library.add(sys.argv[1], progress=eval(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("terminal", "progress", "bar"),
    [(True, None, True), (True, False, False), (False, None, False)],
)
def test_bar_is_shown_in_terminals(tmp_path, terminal, progress, bar):
    write(tmp_path / "größe", 2)
    ours, theirs = pty.openpty() if terminal else os.pipe()
    try:
        command = [sys.executable, "-c", CODE, str(tmp_path / "größe"), str(progress)]
        subprocess.run(command, stderr=theirs, stdout=subprocess.DEVNULL, check=True, timeout=120)
        os.write(theirs, b"END\n")
        text = b""
        while b"END" not in text:
            text += os.read(ours, 65_536)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (b"2 added" in text) is bar, text


def test_bar_is_drawn_on_request_and_the_caller_is_called(capsys):
    calls = []
    with progress_bar(True, calls.append) as report:
        report(Progress(found=3, added=2, failed=1))
    assert [now.done for now in calls] == [3]
    assert "3/3 2 added, 0 skipped, 1 failed" in capsys.readouterr().err


def test_own_function_is_called_without_a_bar(capsys):
    with progress_bar(None, print) as report:
        assert report is print
    assert capsys.readouterr().err == ""


@pytest.mark.process
def test_notebook_shows_one_line_without_ipywidgets(tmp_path):
    write(tmp_path / "größe", 2)
    code = (
        "import imgsearch\n"
        "with imgsearch.open('memory://', model='classic') as library:\n"
        f"    report = library.add({str(tmp_path / 'größe')!r})\n"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs  # updates replace it, and nothing warns
    assert "2/2 2 added, 0 skipped, 0 failed" in output["data"]["text/html"]
