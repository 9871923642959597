"""The committed codelabs have pictures, are small, and link to each other."""

import json
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
DOCS = FOLDER.parent / "docs"
MKDOCS = FOLDER.parent / "mkdocs.yml"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ATTRIBUTE = r"(?<![\w./])imgsearch\.([a-z]\w*)"
LARGEST = 500_000  # bytes of one output


def cells(notebook, kind):
    all_cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in all_cells if cell["cell_type"] == kind]


def outputs(notebook):
    return [output for cell in cells(notebook, "code") for output in cell["outputs"]]


def from_imports(code):
    """Return the (module, name) pairs that `code` imports from modules of imgsearch."""
    imports = re.findall(r"\bfrom (imgsearch[\w.]*) import ([\w, ]+)", code)
    return [(module, name.split()[0]) for module, names in imports for name in names.split(",")]


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
    for module, name in imported + from_imports(code):
        known = hasattr(import_module(module), name) or find_spec(f"{module}.{name}")
        assert known, f"{module}.{name}"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_documented_names_are_imported(notebook):
    docs = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    documented = set(re.findall(r"imgsearch(?:\.\w+)+", docs))
    code = "\n".join("".join(cell["source"]) for cell in cells(notebook, "code"))
    internal = [
        f"{module}.{name}"
        for module, name in from_imports(code)
        if module != "imgsearch" and not {f"{module}.{name}", module} & documented
    ]
    assert not internal


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_first_cell_has_the_address_of_the_project(notebook):
    address = re.search(r'^repo_url: "(.*)"$', MKDOCS.read_text(encoding="utf-8"), re.MULTILINE)
    first = "".join(cells(notebook, "code")[0]["source"])
    assert f'PROJECT = "{address[1]}"' in first


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_photographs_are_used_where_they_are(notebook):
    assert "IMGSEARCH_DATA" in "".join("".join(cell["source"]) for cell in cells(notebook, "code"))
