"""Towhee runs without setuptools' pkg_resources, and other programs keep theirs."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imgsearch.towhee import operator_folders, pkg_resources
from imgsearch.towhee.import_hook import PKG_RESOURCES_USERS
from tests.conftest import ENVIRONMENT

REMOVED = 'import sys\nsys.modules.update({"pkg_resources": None, "setuptools": None})\n'


def python(code, *folders):
    """Return the output of `code`, with `folders` before the other folders of the path."""
    path = os.pathsep.join([*map(str, folders), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True, text=True, timeout=120, env={**ENVIRONMENT, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pipelines_run_without_pkg_resources(tmp_path):
    code = f"""
import imgsearch
from imgsearch.datasets import gallery
from pathlib import Path
from towhee import ops, pipe
import towhee.utils.git_utils

pictures = sorted((Path(gallery.__file__).parent / "pictures/train/goldfish").glob("*.jpg"))
paths = [str(path) for path in pictures[:3]]
row, = imgsearch.embed_pipeline("classic")(paths[0])
print(row["vector"].shape)
url = "milvus-lite://{tmp_path}/ä.db"
insert = imgsearch.insert_pipeline(url, model="classic")
print(sum(len(insert(path)) for path in paths))
hits = imgsearch.search_pipeline(url, model="classic")(paths[1])[0]["hits"]
print(hits[0].fields["path"] == paths[1])
written = pipe.input("p").map("p", "i", ops.image_decode()).map(
    "i", "v", ops.image_embedding.timm(model_name="classic")).output("v")
print(written(paths[0]).get()[0].shape)
print(sys.modules["pkg_resources"])
"""
    assert python(REMOVED + code).splitlines() == ["(722,)", "3", "True", "(722,)", "None"]


def test_own_operator_folder_is_loaded_without_pkg_resources(tmp_path):
    (tmp_path / "normalize").symlink_to(operator_folders() / "normalize")
    code = f"""
import os
os.environ["TEST_OP_CACHE"] = {str(tmp_path)!r}
import imgsearch, numpy
from towhee import ops
print(ops.local.normalize()(numpy.array([3.0, 4.0])))
"""
    assert python(REMOVED + code).split() == ["[0.6", "0.8]"]


def test_installed_pkg_resources_is_left_to_other_programs(tmp_path):
    (tmp_path / "pkg_resources.py").write_text("print('imported')\n", encoding="utf-8")
    code = """
import sys
import imgsearch, towhee
assert "pkg_resources" not in sys.modules
import pkg_resources
print(pkg_resources.__file__)
print(towhee.runtime.operator_manager.operator_loader.pkg_resources.__name__)
"""
    assert python(code, tmp_path).split() == [
        "imported", f"{tmp_path}/pkg_resources.py", "imgsearch.towhee.pkg_resources",
    ]  # fmt: skip


def test_importing_imgsearch_adds_a_finder_and_nothing_else():
    code = """
import builtins, logging, os, sys, warnings

def state():
    return {
        "builtins": dict(vars(builtins)), "path": list(sys.path), "hooks": list(sys.path_hooks),
        "warnings": list(warnings.filters), "environment": dict(os.environ),
        "logging": (list(logging.root.handlers), logging.root.level),
        "others": [finder for finder in sys.meta_path if type(finder).__name__ != "_Finder"],
        "hook": sys.excepthook, "folder": os.getcwd(),
    }

before, modules = state(), set(sys.modules)
import imgsearch
after = state()
print([name for name in before if before[name] != after[name]])
added = {name.partition(".")[0] for name in set(sys.modules) - modules}
print(sorted(added - sys.stdlib_module_names))
print([type(finder).__module__ for finder in sys.meta_path if finder not in after["others"]])
"""
    assert python(code).splitlines() == ["[]", "['imgsearch']", "['imgsearch.towhee.import_hook']"]


def test_all_modules_of_towhee_that_import_pkg_resources_are_known():
    (folder,) = importlib.util.find_spec("towhee").submodule_search_locations
    root = Path(folder)
    users = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in root.rglob("*.py")
        if re.search(r"import[\W_]+pkg_resources|from pkg_resources", path.read_text("utf-8"))
    }
    assert {*users, "towhee.models.clip.clip_utils"} == PKG_RESOURCES_USERS


def test_second_folder_of_a_package_is_found(tmp_path):
    (tmp_path / "towhee").mkdir()
    (tmp_path / "towhee/beside.py").write_text("x = 7\n", encoding="utf-8")
    code = "import imgsearch\nfrom towhee import beside, pipe\nprint(beside.x)"
    assert python(REMOVED + code, tmp_path).strip() == "7"


@pytest.mark.parametrize("line", ["", "numpy", "numpy>=1", "Pillow", "keines; python_version<'3'"])
def test_installed_requirement_is_met(line):
    pkg_resources.require(line)


@pytest.mark.parametrize("line", ["keines-dieses-namens", "numpy<1"])
def test_missing_requirement_raises(line):
    with pytest.raises(pkg_resources.DistributionNotFound, match=r"keines|numpy is installed as"):
        pkg_resources.require(line)


def test_working_set_lists_installed_distributions():
    names = {distribution.project_name for distribution in pkg_resources.working_set}
    assert {"numpy", "pillow", "towhee", "milvus-lite"} <= names
    assert not any("_" in name for name in names)
