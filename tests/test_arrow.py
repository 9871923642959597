"""Arrow arrays of Python values equal those of pyarrow, and need no pandas."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from imgsearch import arrow
from tests.pictures import write

VALUES = {
    pa.string(): ["größe", "", None, "日本"],
    pa.binary(): [b"\xff\x00", None, b""],
    pa.large_binary(): [None, b"abc"],
    pa.int64(): [-(2**63), None, 2**63 - 1],
    pa.float64(): [0.1, None, float("inf"), 3],
    pa.bool_(): [True, None, False, *[True] * 9],
    pa.list_(pa.float32()): [np.array([0.6, 0.8], np.float32), None, np.zeros(3, np.float32)],
}
RUN = """
import sys, imgsearch
with imgsearch.open("memory://", model="classic") as library:
    assert library.add("a.png").added == 1
job = imgsearch.embed(["a.png", "gone.png"], to="job", model="classic")
assert (job.report.added, job.report.failed) == (1, 1)
assert "pandas" not in sys.modules
"""


@pytest.mark.parametrize("kind", VALUES, ids=str)
def test_array_equals_one_of_pyarrow(kind):
    values = VALUES[kind]
    for part in (values, [value for value in values if value is not None], [None, None], []):
        array = arrow.array(part, kind)
        array.validate(full=True)
        assert array.equals(pa.array(part, kind))
        assert array.null_count == sum(value is None for value in part)


def test_text_that_is_not_unicode_raises():
    with pytest.raises(UnicodeEncodeError):
        arrow.array(["\ud800"], pa.string())


def test_numbers_are_not_copied():
    numbers = np.arange(4, dtype=np.float32)
    array = arrow.of_numbers(numbers)
    assert array.type == pa.float32()
    numbers[0] = 7
    assert array.to_pylist() == [7, 1, 2, 3]


@pytest.mark.process
def test_images_are_added_and_embedded_without_pandas(tmp_path):
    write(tmp_path, 1)[0].rename(tmp_path / "a.png")
    subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, check=True, timeout=120)
