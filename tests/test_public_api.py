"""The public surface is a decision: a change here is a change for users."""

import pickle
import subprocess
import sys

import pytest

import imgsearch
from imgsearch import errors

OURS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]


def test_all_is_sorted_and_real():
    assert imgsearch.__all__ == sorted(imgsearch.__all__)
    assert all(hasattr(imgsearch, name) for name in imgsearch.__all__)


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


@pytest.mark.parametrize("cls", OURS)
def test_an_error_survives_another_process(cls):
    error = pickle.loads(pickle.dumps(cls("what, which, and what to do")))  # noqa: S301 - our own bytes
    assert (type(error), str(error)) == (cls, "what, which, and what to do")


@pytest.mark.parametrize("cls", OURS)
def test_an_error_is_in_the_tree_that_readers_see(cls):
    assert cls.__name__ in errors.__doc__
    assert issubclass(cls, errors.ImgSearchError)


def test_facts_of_an_error_survive_pickling():
    error = errors.DimensionMismatch("x", expected=2, got=3)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (again.expected, again.got) == (2, 3)
