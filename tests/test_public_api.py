"""The public API: a change here is a change for users."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import imgsearch
from imgsearch import errors

OURS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]


def test_all_is_sorted_and_defined():
    assert imgsearch.__all__ == sorted(imgsearch.__all__)
    assert all(hasattr(imgsearch, name) for name in imgsearch.__all__)


@pytest.mark.long
def test_a_noun_has_one_class():
    root = Path(imgsearch.__file__).parent
    nouns = {
        "Collection", "CollectionInfo", "FailedImage", "Failure", "Hit", "Image", "Job", "JobState",
        "Problem", "Progress", "Record", "Report", "SearchOptions", "Tally", "Term",
    }  # fmt: skip
    homes = {noun: [] for noun in nouns}
    for file in root.rglob("*.py"):
        if file.is_relative_to(root / "testing"):
            continue  # the emulator speaks of a store's own collections
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name in nouns:
                homes[node.name].append(str(file.relative_to(root)))
    assert {noun: files for noun, files in homes.items() if len(files) != 1} == {}


def test_archive_is_exported_lazily():
    from imgsearch.archive import Archive

    assert imgsearch.Archive is Archive
    assert "Archive" not in imgsearch.__all__  # it needs an extra, and * must not


def test_exported_functions_come_from_their_modules():
    from imgsearch import encoders
    from imgsearch.evaluation import evaluator

    assert (imgsearch.models, imgsearch.evaluate) == (encoders.models, evaluator.evaluate)


def test_importing_loads_nothing_heavy():
    heavy = ["torch", "cv2", "pymilvus", "milvus_lite", "towhee", "PIL", "numpy", "timm", "rich"]
    code = f"import imgsearch, sys; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_pipelines_import_without_torch_or_pymilvus():
    heavy = ["torch", "cv2", "pymilvus", "timm"]
    code = (
        "import imgsearch, sys; imgsearch.embed_pipeline('classic').build(); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert out.stderr == ""


# packages of the extras, hidden as if they were missing
CORE_ONLY = """
import sys
for name in ("httpx", "httpcore", "fastapi", "uvicorn", "sqlalchemy", "alembic",
             "prometheus_client", "gradio", "boto3", "pymysql", "tcvectordb", "torch", "timm",
             "safetensors", "transformers", "open_clip", "openvino", "onnx", "h5py", "nncf"):
    sys.modules[name] = None
"""


def in_core(code):
    """Return the output of `code` without installed extras."""
    done = subprocess.run(
        [sys.executable, "-c", CORE_ONLY + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_every_public_name_imports_without_extras():
    code = """
import inspect
from imgsearch import *
import imgsearch
members = dict(inspect.getmembers(imgsearch))
print(*(name for name in imgsearch.__all__ if not hasattr(imgsearch, name) or name not in members))
print(Client.__name__, imgsearch.client.Client is Client)
"""
    assert in_core(code) == ["Client", "True"]


def test_client_without_httpx_names_its_extra():
    code = """
import imgsearch
try:
    imgsearch.Client("http://127.0.0.1:8000")
except imgsearch.errors.MissingExtra as error:
    print(error.name, error.extra)
"""
    assert in_core(code) == ["httpx", "client"]


def test_attribute_behind_a_missing_extra_is_absent():
    code = """
import imgsearch
imgsearch._HOMES["Catalog"] = "catalog"
print(hasattr(imgsearch, "Catalog"), getattr(imgsearch, "Catalog", None))
try:
    imgsearch.Catalog
except AttributeError as error:
    print("'.[service]'" in str(error))
"""
    assert in_core(code) == ["False", "None", "True"]


def test_dir_lists_lazy_names():
    assert set(imgsearch.__all__) <= set(dir(imgsearch))


def test_only_known_modules_have_getattr():
    package = Path(imgsearch.__file__).parent
    lazy = [
        path for path in package.rglob("*.py") if "\ndef __getattr__" in path.read_text("utf-8")
    ]
    # these need no extra; any other one must not let MissingExtra through
    towhee = package / "towhee"
    stand_ins = {towhee / "pkg_resources.py", towhee / "os_without_pip.py"}
    known = {package / "__init__.py", towhee / "__init__.py", *stand_ins}
    assert set(lazy) == known


@pytest.mark.parametrize("cls", OURS)
def test_error_can_be_pickled_between_processes(cls):
    error = pickle.loads(pickle.dumps(cls("what, which, and what to do")))  # noqa: S301 - our own bytes
    assert (type(error), str(error)) == (cls, "what, which, and what to do")


@pytest.mark.parametrize("cls", OURS)
def test_every_error_is_in_the_documented_tree(cls):
    assert cls.__name__ in errors.__doc__
    assert issubclass(cls, errors.ImgSearchError | UserWarning)


def test_attributes_of_an_error_survive_pickling():
    error = errors.DimensionMismatch("x", expected=2, got=3)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (again.expected, again.got) == (2, 3)
