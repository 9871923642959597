"""The codelabs as they are committed: with their pictures, small, in a chain of links."""

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
    told = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in told if cell["cell_type"] == kind]


def outputs(notebook):
    return [each for cell in cells(notebook, "code") for each in cell["outputs"]]


def test_the_page_lists_them_all():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert NOTEBOOKS
    assert all(f"]({notebook.name})" in page for notebook in NOTEBOOKS)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_was_run_from_top_to_bottom_without_a_complaint(notebook):
    counts = [cell["execution_count"] for cell in cells(notebook, "code")]
    assert counts == list(range(1, len(counts) + 1))
    assert not [each for each in outputs(notebook) if each["output_type"] == "error"]
    assert not [each for each in outputs(notebook) if each.get("name") == "stderr"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_shows_pictures_and_none_is_large(notebook):
    told = outputs(notebook)
    pictures = [each for each in told if {"image/png", "image/jpeg"} & each.get("data", {}).keys()]
    assert pictures
    assert max(len(json.dumps(each)) for each in told) < LARGEST


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_ends_in_an_assert_and_a_link_to_the_next(notebook):
    assert "assert " in "".join(cells(notebook, "code")[-1]["source"])
    last = "".join(cells(notebook, "markdown")[-1]["source"])
    assert "**Next:**" in last
    assert len(re.findall(r"\]\(([^)]+\.(?:ipynb|md))\)", last)) == 1


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_links_lead_somewhere(notebook):
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
