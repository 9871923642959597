"""The distribution's name: one place has it, and a stranger's program of our name is noticed."""

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


def test_nothing_tells_readers_to_install_the_stranger_s_program():
    wrong = re.compile(r"\binstall\b.*(?<![\w/-])imgsearch\b(?!/)|(?<![\w-])imgsearch\[[a-z]")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in texts()
        if path != Path(__file__)
        for line in text.splitlines()
        if "pip" in line and (match := wrong.search(line))
    ]
    assert found == []


def test_the_project_has_the_name_that_the_code_knows():
    assert PROJECT["name"] == distribution.NAME == "towhee-imgsearch"
    assert PROJECT["scripts"] == {"imgsearch": "imgsearch.cli:main"}


def test_extras_that_name_the_project_name_extras_it_has():
    extras = PROJECT["optional-dependencies"]
    words = [word for words in extras.values() for word in words if "imgsearch" in word]
    for word in words:
        name, named = re.fullmatch(r"([\w-]+)\[([\w,]+)\]", word).groups()
        assert name == distribution.NAME
        assert set(named.split(",")) <= extras.keys()
    assert len(words) == 2


def test_every_extra_that_a_message_names_exists():
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


def test_the_client_s_extra_brings_httpx_alone():
    (word,) = PROJECT["optional-dependencies"]["client"]
    assert word.startswith("httpx")
    assert word in PROJECT["optional-dependencies"]["service"]


def test_a_hint_installs_from_a_checkout():
    assert install_hint("torch,clip") == "pip install '.[torch,clip]' in a checkout"
    assert install_hint() == "pip install . in a checkout"


def test_a_missing_extra_says_how_to_install_it():
    error = MissingExtra("the page needs gradio", extra="ui", name="gradio")
    assert str(error) == (
        "the page needs gradio, which is not installed. Run pip install '.[ui]' in a checkout."
    )
    assert (error.extra, error.name) == ("ui", "gradio")


@pytest.fixture
def site(tmp_path):
    """Return a folder as pip fills it, with our package in it."""
    (tmp_path / "imgsearch").symlink_to(Path(imgsearch.__file__).parent, target_is_directory=True)
    return tmp_path


def add(site, name, metadata, file="METADATA"):
    folder = site / name
    folder.mkdir()
    (folder / file).write_text(metadata, encoding="utf-8")


def test_a_stranger_s_package_in_the_same_folder_is_noticed(site):
    add(site, "towhee_imgsearch-0.1.0.dist-info", OURS)
    assert shared_with_namesake(str(site / "imgsearch")) == ""
    add(site, "imgsearch-0.3.3.dist-info", THEIRS)
    message = shared_with_namesake(str(site / "imgsearch"))
    assert "pip uninstall imgsearch towhee-imgsearch, then pip install . in a checkout" in message


def test_a_stranger_s_egg_is_noticed(site):
    add(site, "imgsearch-0.3.3-py3.11.egg-info", THEIRS, "PKG-INFO")
    assert shared_with_namesake(str(site / "imgsearch"))


def test_our_own_package_under_its_old_name_is_no_stranger(site):
    add(site, "imgsearch-0.1.0.dist-info", OURS)
    add(site, "imgsearch_tools-1.0.dist-info", THEIRS)
    (site / "imgsearch-0.2.0.dist-info").mkdir()  # left over, without metadata
    assert shared_with_namesake(str(site / "imgsearch")) == ""


def test_a_package_in_a_zip_file_has_no_namesake(tmp_path):
    assert shared_with_namesake(str(tmp_path / "packages.zip/imgsearch")) == ""


def test_importing_beside_a_stranger_s_package_warns_once(site):
    add(site, "imgsearch-0.3.3.dist-info", THEIRS)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import imgsearch, imgsearch.errors; "
        "print(imgsearch.__path__[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(site / "imgsearch"), done.stderr
    assert done.stderr.count("two programs share the folder") == 1
