"""--pipeline: a user's own steps, imported by name."""

import json

import pytest

from tests.pictures import write

MODULE = """
import imgsearch

images = imgsearch.image_steps().map("path", "own", lambda path: path[-8:]).returning("own")
queries = imgsearch.query_steps().map("query", "query", lambda query: PICTURE)
"""


@pytest.fixture
def module(run, tmp_path):
    """Write a module into the current folder; return its name."""
    (file, *_) = write(tmp_path / "bilder", 2)
    text = MODULE.replace("PICTURE", repr(str(file)))
    (tmp_path / "steps_of_the_command_line.py").write_text(text)
    return "steps_of_the_command_line"


def test_add_and_search_run_own_steps(run, module):
    added = run("add", "bilder", "--model", "classic", "--pipeline", f"{module}:images")
    assert added.exit_code == 0, added.output
    assert added.stderr.count("2 added") >= 1
    search = run("search", "whatever", "--json", "--pipeline", f"{module}:queries")
    assert search.exit_code == 0, search.output
    (first, _) = json.loads(search.stdout)
    assert first["score"] == pytest.approx(1, abs=1e-4)
    assert first["fields"]["own"] == "0000.png"


def test_error_of_a_step_names_its_file(run, module, tmp_path):
    (tmp_path / "failing_steps.py").write_text(
        "import imgsearch\nsteps = imgsearch.image_steps().map('path', 'own', lambda path: 1 / 0)\n"
    )
    failed = run("add", "bilder", "--model", "classic", "--pipeline", "failing_steps:steps")
    assert failed.exit_code == 1
    path = tmp_path / "bilder" / "bild-ü 0001.png"
    assert f"  {path}: a step of the pipeline raised ZeroDivisionError" in failed.stderr


def test_unusable_pipeline_is_one_line(run, module):
    failed = run("add", "bilder", "--pipeline", f"{module}:gone")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: cannot load the pipeline")
    assert "AttributeError" in failed.stderr
    assert failed.stderr.count("\n") == 1
