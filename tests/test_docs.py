"""The pages are correct: blocks run, links work, commands, variables and modules exist."""

import itertools
import re
import shlex
from pathlib import Path

import click
import pytest

import imgsearch
from imgsearch.cli import cli
from imgsearch.settings import VARIABLES
from tests.pictures import write

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAP = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


DOCS = ROOT / "docs"
# tests of their own run these pages: their blocks need models, or a service
RUN_ELSEWHERE = {"own.md", "towhee.md"}


def python_blocks(page):
    return re.findall(
        r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


WITH_PYTHON = [
    page
    for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
    if page.name not in RUN_ELSEWHERE and python_blocks(page)
]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.stem)
def test_python_blocks_of_a_page_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for place, path in enumerate(write(tmp_path / "photos/cats", 6, suffix=".jpg"), 1):
        path.rename(path.with_name(f"{place}.jpg"))
    namespace = {}
    for block in python_blocks(page):
        exec(compile(block, page.name, "exec"), namespace)  # noqa: S102 - our own page
    assert "hits" not in namespace or namespace["hits"]


def commands(page):
    """Yield the words of each call of imgsearch in blocks of a page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ").replace("…", "X")
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.findall(r"^\$ (.+)$", block, re.MULTILINE):
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            for _, call in itertools.groupby(lexer, lambda word: word[0] not in "();|&<>"):
                words = [word for word in call if not re.match(r"[A-Z_]+=", word)]
                if words[0] == "imgsearch":
                    yield words[1:]


COMMAND_PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))
    if any(commands(page))
]


@pytest.mark.parametrize("page", COMMAND_PAGES, ids=lambda page: page.stem)
def test_commands_in_a_page_exist_with_their_options(page):
    for words in commands(page):
        command, context = cli, click.Context(cli, info_name="imgsearch")
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            command = command.get_command(context, words.pop(0))
            assert command is not None, words
            context = click.Context(command, parent=context)
        command.make_parser(context).parse_args(list(words))  # raises for an unknown option


def test_readme_is_short():
    assert len(README.split()) <= 900


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_page_is_short_and_begins_with_its_answer(page):
    text = page.read_text(encoding="utf-8")
    assert len(text.split()) <= (2500 if page.name in ("licenses.md", "mission.md") else 1200)
    title, first, *_ = text.split("\n\n")
    assert re.fullmatch(r"# [^\n]+", title)
    assert first[0] not in "|`-#<" or first.startswith("`"), first


def test_settings_page_names_every_variable():
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    for name, purpose in VARIABLES.items():
        assert f"| `{name}` | " in page, name
        assert re.sub(r"\W+", " ", purpose) in re.sub(r"\W+", " ", page), name


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
