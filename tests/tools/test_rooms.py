"""The trace of entered rooms explains itself, and fails clearly outside the environment."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def rooms(*words):
    """Run the tool with the modules of Python alone, as outside the project's environment."""
    command = [sys.executable, "-I", "-S", "-c"]
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import tools.rooms as t; t.main()"
    return subprocess.run([*command, program, *words], capture_output=True, text=True, cwd="/")


@pytest.mark.parametrize(
    ("words", "code", "output"),
    [
        (["--help"], 0, "Print the modules and packages of imgsearch"),
        ([], 1, "error: No module named "),
        (["--nonsense"], 2, "unrecognized arguments"),
    ],
)
def test_help_and_errors_need_no_other_package(words, code, output):
    done = rooms(*words)
    assert done.returncode == code, done.stderr
    assert output in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
