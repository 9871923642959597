"""The distribution's name is defined once, and another distribution of our name is detected."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import imgsearch
from imgsearch import distribution
from imgsearch.distribution import install_hint, shared_with_namesake
from imgsearch.errors import MissingExtra

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = "Name: imgsearch\nSummary: Bildsuche für alle\nRequires-Dist: towhee==1.1.3\n"
THEIRS = "Name: imgsearch\nSummary: reverse image search by TinyCLIP\nRequires-Dist: hnswlib\n"


def files():
    for folder in ("imgsearch", "operators", "notebooks", "tests", "docs", "tools", ".ci"):
        yield from (ROOT / folder).rglob("*")
    yield from (path for path in ROOT.iterdir() if path.is_file())


def texts():
    suffixes = {"", ".py", ".md", ".ipynb", ".toml", ".yaml", ".yml", ".txt", ".sh", ".cfg"}
    for path in files():
        if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts:
            yield path, path.read_text(encoding="utf-8", errors="replace")


def test_no_page_recommends_the_other_distribution():
    wrong = re.compile(r"\binstall\b.*(?<![\w/-])imgsearch\b(?!/)|(?<![\w-])imgsearch\[[a-z]")
    wrong_lines = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in texts()
        if path != Path(__file__)
        for line in text.splitlines()
        if "pip" in line and (match := wrong.search(line))
    ]
    assert wrong_lines == []


def test_project_name_agrees_with_the_code():
    assert PROJECT["name"] == distribution.NAME == "towhee-imgsearch"
    assert PROJECT["scripts"] == {"imgsearch": "imgsearch.cli:main"}


def test_extras_of_the_project_refer_to_existing_extras():
    extras = PROJECT["optional-dependencies"]
    words = [word for words in extras.values() for word in words if "imgsearch" in word]
    for word in words:
        name, named = re.fullmatch(r"([\w-]+)\[([\w,-]+)\]", word).groups()
        assert name == distribution.NAME
        assert set(named.split(",")) <= extras.keys()
    assert len(words) == 5


def test_extras_in_messages_exist():
    named = [
        extra
        for path in (ROOT / "imgsearch").rglob("*.py")
        for match in re.findall(
            r'MissingExtra\([^()]*?\bextra="([\w,]+)"', path.read_text(encoding="utf-8")
        )
        for extra in match.split(",")
    ]
    assert len(named) > 15
    assert set(named) <= PROJECT["optional-dependencies"].keys()


def test_extra_client_needs_only_httpx():
    (word,) = PROJECT["optional-dependencies"]["client"]
    assert word.startswith("httpx")
    assert word in PROJECT["optional-dependencies"]["service"]


def test_install_hint_works_in_a_checkout():
    assert install_hint("torch,clip") == "pip install '.[torch,clip]' in a checkout"
    assert install_hint() == "pip install . in a checkout"


def test_missing_extra_error_has_the_install_command():
    error = MissingExtra("the page needs gradio", extra="ui", name="gradio")
    assert str(error) == (
        "the page needs gradio, which is not installed. Run pip install '.[ui]' in a checkout."
    )
    assert (error.extra, error.name) == ("ui", "gradio")


@pytest.fixture
def site(tmp_path):
    """Return a folder like site-packages, with our package."""
    (tmp_path / "imgsearch").symlink_to(Path(imgsearch.__file__).parent, target_is_directory=True)
    return tmp_path


def add(site, name, metadata, file="METADATA"):
    folder = site / name
    folder.mkdir()
    (folder / file).write_text(metadata, encoding="utf-8")


def test_other_distribution_in_the_same_folder_is_detected(site):
    add(site, "towhee_imgsearch-0.1.0.dist-info", OURS)
    assert shared_with_namesake(str(site / "imgsearch")) == ""
    add(site, "imgsearch-0.3.3.dist-info", THEIRS)
    message = shared_with_namesake(str(site / "imgsearch"))
    assert "pip uninstall imgsearch towhee-imgsearch, then pip install . in a checkout" in message


def test_other_egg_is_detected(site):
    add(site, "imgsearch-0.3.3-py3.11.egg-info", THEIRS, "PKG-INFO")
    assert shared_with_namesake(str(site / "imgsearch"))


def test_own_distribution_under_its_old_name_is_ignored(site):
    add(site, "imgsearch-0.1.0.dist-info", OURS)
    add(site, "imgsearch_tools-1.0.dist-info", THEIRS)
    (site / "imgsearch-0.2.0.dist-info").mkdir()  # a leftover without metadata
    assert shared_with_namesake(str(site / "imgsearch")) == ""


def test_package_in_a_zip_file_has_no_namesake(tmp_path):
    assert shared_with_namesake(str(tmp_path / "packages.zip/imgsearch")) == ""


def test_import_beside_another_distribution_warns_once(site):
    add(site, "imgsearch-0.3.3.dist-info", THEIRS)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import imgsearch, imgsearch.errors; "
        "print(imgsearch.__path__[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(site / "imgsearch"), done.stderr
    assert done.stderr.count("two programs share the folder") == 1
