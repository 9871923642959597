"""The pages are correct: blocks run, links work, commands, variables and modules exist."""

import re
from pathlib import Path

import pytest

import imgsearch
from imgsearch.cli import cli
from imgsearch.settings import VARIABLES
from tests.pictures import write

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAP = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_every_python_block_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for place, path in enumerate(write(tmp_path / "photos/cats", 6, suffix=".jpg"), 1):
        path.rename(path.with_name(f"{place}.jpg"))
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    namespace = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)  # noqa: S102 - our own page
    assert namespace["hits"][0].score == pytest.approx(1, abs=1e-5)
    assert "1.000" in capsys.readouterr().out


def test_readme_names_every_command_and_variable():
    for name in cli.list_commands(None):
        assert f"imgsearch {name}" in README, name
    for name, purpose in VARIABLES.items():
        assert f"| `{name}` | " in README, name
        assert re.sub(r"\W+", " ", purpose) in re.sub(r"\W+", " ", README), name


def test_map_lists_every_module_and_folder_once():
    package = ROOT / "imgsearch"
    real = [path.name for path in package.glob("[!_]*.py")]
    real += [f"{path.parent.name}/" for path in package.glob("[!_]*/__init__.py")]
    beside = ["data/", "docs/", "notebooks/", "operators/", "tests/", "tools/"]
    assert sorted(re.findall(r"^- `(\w+(?:\.py|/))` \w", MAP, re.MULTILINE)) == sorted(
        real + beside
    )


GUIDES = [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_paths_in_a_guide_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    # imgsearch/_data exists only in the wheel
    paths = re.findall(r"`([\w.-]+/(?!_)[\w./-]*)`", text)
    for path in paths:
        known = [folder / path for folder in (ROOT, ROOT / "imgsearch")]
        assert "NAME" in path or any(place.exists() for place in known), path


@pytest.mark.parametrize(("name", "most"), [("ARCHITECTURE.md", 900), ("CONTRIBUTING.md", 600)])
def test_guide_is_short(name, most):
    assert len((ROOT / name).read_text(encoding="utf-8").split()) <= most


def test_commands_of_make_in_the_guides_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in GUIDES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:`|^\$ )make ([a-z-]+)", text, re.MULTILINE)) <= targets, page


def test_every_operator_has_a_readme_with_its_input_and_output():
    for folder in (ROOT / "operators").glob("[!_.]*/"):
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {folder.name}\n")
        assert {"in", "out"} <= set(re.findall(r"^\| (in|out)\b", text, re.MULTILINE)), folder.name


def test_every_operator_is_in_the_changelog():
    from imgsearch import towhee

    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in changes for name in towhee.operator_names())


PAGES = sorted(
    {path for folder in (".", "data", "notebooks") for path in (ROOT / folder).glob("*.md")}
    | {
        path
        for folder in ("docs", "imgsearch", "operators", "tests", "tools")
        for path in (ROOT / folder).rglob("*.md")
    }
)


def prose(page):
    """Return the text of a page without code."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(page):
    """Return the anchors of a page's headings, as GitHub derives them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_of_a_page_work(page):
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


DECISIONS = ROOT / "docs/decisions"
DECISION = re.compile(
    r"# (\d{3})\. (.+)\n\n20\d\d-\d\d-\d\d · (?:accepted|superseded by \[\d{3}\]\(.+\))\n\n"
    r"## Context\n\n.+\n\n## Decision\n\n.+\n\n## Measurement\n\n.+\n\n## Consequence\n\n.+\n"
)


def test_decisions_have_one_form_and_a_line_in_the_index():
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    files = sorted(DECISIONS.glob("[0-9]*.md"))
    lines = re.findall(r"^- \[(\d{3})\]\((.+?)\) (.+)$", index, re.MULTILINE)
    assert [file for _, file, _ in lines] == [path.name for path in files]
    for place, (path, (number, _, title)) in enumerate(zip(files, lines, strict=True), 1):
        match = DECISION.fullmatch(path.read_text(encoding="utf-8"))
        assert match, f"{path.name} has another form"
        assert match[1] == number == path.name[:3] == f"{place:03d}"
        assert title.removeprefix(match[2]) == "" or title.startswith(f"{match[2]} (superseded")


def test_version_is_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+", imgsearch.__version__)
