"""What the pages say is true: blocks run, commands and variables are all there, the map holds."""

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


def test_the_readme_names_every_command_and_every_variable():
    for name in cli.list_commands(None):
        assert f"imgsearch {name}" in README, name
    for name, purpose in VARIABLES.items():
        assert f"| `{name}` | " in README, name
        assert re.sub(r"\W+", " ", purpose) in re.sub(r"\W+", " ", README), name


def test_the_map_matches_the_territory():
    named = set(re.findall(r"^- `(\w+(?:\.py|/))`", MAP, re.MULTILINE))
    package = ROOT / "imgsearch"
    real = {path.name for path in package.glob("[!_]*.py")}
    real |= {f"{path.parent.name}/" for path in package.glob("[!_]*/__init__.py")}
    assert named == real


def test_every_operator_is_in_the_changelog():
    from imgsearch import seam

    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in changes for name in seam.operator_names())


def test_links_between_the_pages_lead_somewhere():
    for page in (
        "README.md",
        "ARCHITECTURE.md",
        "data/README.md",
        "docs/lite.md",
        "notebooks/README.md",
    ):
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (ROOT / page).parent.joinpath(target).exists(), (page, target)


def test_the_version_is_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+", imgsearch.__version__)
