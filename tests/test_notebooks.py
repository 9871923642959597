"""The committed codelabs have pictures, are small, and link to each other."""

import json
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ATTRIBUTE = r"(?<![\w./])imgsearch\.([a-z]\w*)"
LARGEST = 500_000  # bytes of one output


def cells(notebook, kind):
    all_cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in all_cells if cell["cell_type"] == kind]


def outputs(notebook):
    return [output for cell in cells(notebook, "code") for output in cell["outputs"]]


def test_page_lists_every_notebook():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert NOTEBOOKS
    assert all(f"]({notebook.name})" in page for notebook in NOTEBOOKS)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_was_run_in_order_without_errors(notebook):
    counts = [cell["execution_count"] for cell in cells(notebook, "code")]
    assert counts == list(range(1, len(counts) + 1))
    assert not [output for output in outputs(notebook) if output["output_type"] == "error"]
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_has_small_pictures(notebook):
    all_outputs = outputs(notebook)
    pictures = [
        output
        for output in all_outputs
        if {"image/png", "image/jpeg"} & output.get("data", {}).keys()
    ]
    assert pictures
    assert max(len(json.dumps(output)) for output in all_outputs) < LARGEST


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_ends_in_an_assert_and_a_link_to_the_next(notebook):
    assert "assert " in "".join(cells(notebook, "code")[-1]["source"])
    last = "".join(cells(notebook, "markdown")[-1]["source"])
    assert "**Next:**" in last
    assert len(re.findall(r"\]\(([^)]+\.(?:ipynb|md))\)", last)) == 1


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_links_work(notebook):
    text = "".join("".join(cell["source"]) for cell in cells(notebook, "markdown"))
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (FOLDER / target).exists(), target


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_names_imported_from_the_package_exist(notebook):
    code = "\n".join("".join(cell["source"]) for cell in cells(notebook, "code"))
    imported = [("imgsearch", name) for name in re.findall(ATTRIBUTE, code)]
    for module, names in re.findall(r"\bfrom (imgsearch[\w.]*) import ([\w, ]+)", code):
        imported += [(module, name.split()[0]) for name in names.split(",")]
    for module, name in imported:
        known = hasattr(import_module(module), name) or find_spec(f"{module}.{name}")
        assert known, f"{module}.{name}"
