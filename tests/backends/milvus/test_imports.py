"""The driver is imported without packages that a search does not need."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

HEAVY = ("pandas", "scipy", "requests")
SEARCH = f"""
import sys
import numpy as np
from imgsearch import backends
from imgsearch.backends import Schema
from imgsearch.types import Record

vectors = np.array([[1, 0]], np.float32)
with backends.connect(sys.argv[1]) as store:
    collection = store.create("bilder", Schema(2))
    collection.upsert([Record("größe", vectors[0])])
    assert [hit.id for hit in collection.search(vectors, k=1)[0]] == ["größe"]
print([name for name in {HEAVY} if name in sys.modules])
"""
LATER = """
import pandas as pd
import pyarrow as pa
import pymilvus
from pymilvus.orm import prepare, schema, types

frame = pd.DataFrame({"id": [1, 2], "v": [[0.0, 1.0], [1.0, 0.0]]})
assert isinstance(frame, pymilvus.orm.schema.pd.DataFrame)
assert schema.is_valid_insert_data(frame) and not schema.is_valid_insert_data("text")
assert schema.check_is_row_based([{"id": 1}]) and not schema.check_is_row_based(frame)
assert types.infer_dtype_bydata([0.5, 1.0]) is pymilvus.DataType.FLOAT_VECTOR
assert prepare.pd.Series is pd.Series
# of pandas' own objects pyarrow reads NaN as null
assert pa.array(pd.Series([1.0, float("nan")])).null_count == 1
assert pa.table({"a": [1]}).to_pandas().equals(pd.DataFrame({"a": [1]}))
from pymilvus.client import global_topology
import requests
assert global_topology.requests.get is requests.get
from pymilvus.client.utils import SciPyHelper
import scipy.sparse
assert SciPyHelper.is_scipy_sparse(scipy.sparse.eye(2)) and not SciPyHelper.is_scipy_sparse([1])
print("later")
"""


LIBRARY = f"""
import sys
from pathlib import Path
import imgsearch
from imgsearch.datasets import gallery

pictures = Path(gallery.__file__).parent / "pictures/train/goldfish"
with imgsearch.open(sys.argv[1], model="classic") as library:
    assert library.add(pictures).added
    assert library.search(next(iter(sorted(pictures.glob("*.jpg")))))[0].score > 0.99
print([name for name in {(*HEAVY, "pydantic", "tqdm")} if name in sys.modules])
"""


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_search_imports_no_heavy_package_and_a_program_may_import_them_later(tmp_path):
    pytest.importorskip("scipy", reason="the check of sparse vectors needs SciPy")
    assert run(SEARCH + LATER, tmp_path / "a.db") == ["[]", "later"]


def test_library_adds_and_searches_without_heavy_packages(tmp_path):
    assert run(LIBRARY, tmp_path / "fotos.db") == ["[]"]


def test_packages_that_the_program_imported_before_are_used(tmp_path):
    pytest.importorskip("scipy", reason="the check of sparse vectors needs SciPy")
    before = "import pandas, requests, scipy.sparse\n"
    assert run(before + SEARCH + LATER, tmp_path / "a.db") == [str(list(HEAVY)), "later"]


def test_driver_that_the_program_imported_before_is_unchanged(tmp_path):
    pytest.importorskip("scipy", reason="the check of sparse vectors needs SciPy")
    before = "import pymilvus\n"
    assert run(before + SEARCH + LATER, tmp_path / "a.db")[1] == "later"
