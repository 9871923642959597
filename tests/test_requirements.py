"""The lists of small installations agree with pyproject.toml and with installed metadata."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# docs/install.md states the loss
LEFT_OUT = {"pandas", "twine", "tenacity", "tqdm", "grpcio-tools", "tcvdb-text"}
OLDER = {"six"}  # python-dateutil 2 requires it, 4 does not


def pins(file):
    """Return the pinned versions of a list and of the lists that it includes."""
    versions = {}
    for line in (ROOT / "requirements" / file).read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            versions |= pins(text[3:])
        elif text:
            name, version = re.fullmatch(r"([\w-]+)==([\w.]+)", text).groups()
            versions[canonicalize_name(name)] = version
    return versions


@pytest.mark.parametrize(("file", "extra"), [("small.txt", ""), ("small-tencent.txt", "tencent")])
def test_small_list_has_the_requirements_of_the_project_but_pandas(file, extra):
    words = PROJECT["dependencies"] + PROJECT["optional-dependencies"].get(extra, [])
    missing = []
    for requirement in map(Requirement, words):
        version = pins(file).get(canonicalize_name(requirement.name))
        if version is None:
            missing.append(requirement.name)
        else:
            assert requirement.specifier.contains(version), requirement
    assert missing == ["pandas"]


@pytest.mark.parametrize("file", ["small.txt", "small-tencent.txt"])
def test_small_list_has_the_requirements_of_its_packages(file):
    listed = pins(file)
    missing = set()
    for name in listed:
        try:
            words = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:  # of another system or extra
            continue
        for requirement in map(Requirement, words):
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": ""}):
                missing.add(canonicalize_name(requirement.name))
    assert missing - listed.keys() <= LEFT_OUT | OLDER


# the tests' environment has them, so they are hidden: from a process of its own, at its start
HIDDEN = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_spec(name, *args):
    left_out = name.partition(".")[0] in ("pandas", "twine", "tenacity", "tqdm")
    return None if left_out else find(name, *args)
PathFinder.find_spec = find_spec
import imgsearch
from imgsearch.errors import MissingExtra
with imgsearch.open({place!r}) as library:
    assert library.add({folder!r}).added == 2
    hits = library.search({image!r}, k=2)
    assert [hit.path.rpartition("/")[2] for hit in hits] == ["rot.png", "grün.png"]
    assert hits.to_arrow().num_rows == 2
    try:
        hits.to_pandas()
    except MissingExtra as error:
        assert "pip install 'pandas>=2.2'" in str(error)
        assert error.name == "pandas"
    else:
        raise AssertionError("no error")
"""


def test_add_and_search_run_without_pandas_twine_tenacity_and_tqdm(tmp_path):
    from PIL import Image

    folder = tmp_path / "bilder"
    folder.mkdir()
    Image.new("RGB", (64, 64), "red").save(folder / "rot.png")
    Image.new("RGB", (64, 64), "green").save(folder / "grün.png")
    code = HIDDEN.format(
        place=str(tmp_path / "x.db"), folder=str(folder), image=str(folder / "rot.png")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_evaluate_fails_before_it_embeds_without_pandas(tmp_path):
    code = (
        "import sys; sys.modules['pandas'] = None; from imgsearch.cli import main; "
        f"sys.argv = ['imgsearch', 'evaluate', {str(tmp_path)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Run pip install 'pandas>=2.2'." in done.stderr
    assert "Traceback" not in done.stderr
