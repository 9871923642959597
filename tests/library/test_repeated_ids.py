"""Rows that repeat an id are found in little memory."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from imgsearch.library.repeated_ids import repeated_rows


def test_first_row_by_file_and_row_wins():
    rng = np.random.default_rng(3)
    files = [[f"猫{n}" for n in rng.integers(400, size=150)] for _ in range(5)]
    seen, expected = set(), {}
    for number, ids in enumerate(files):
        for row, id_ in enumerate(ids):
            if id_ in seen:
                expected.setdefault(number, []).append(row)
            seen.add(id_)
    parts = [[pa.array(ids[:70]), pa.array(ids[70:])] for ids in files]
    repeated = repeated_rows(parts)
    assert {number: rows.tolist() for number, rows in repeated.items()} == expected
    assert repeated_rows([]) == repeated_rows([[pa.array(["a", "b"])]]) == {}


# peak memory of 500,000 ids of 64 letters, less than that of the imports
PEAK = """
import resource, sys
import pyarrow as pa
from imgsearch.library.repeated_ids import repeated_rows
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
rows = int(sys.argv[1])
part = lambda start: pa.array([f"{n:064x}" for n in range(start, start + 10_000)])
repeated_rows([[part(0)]])
before = peak()
found = repeated_rows([part(start)] for start in [*range(0, rows, 10_000), 0])
print(peak() - before, sum(map(len, found.values())))
"""


@pytest.mark.long  # hashes 300,000 ids in a new process
def test_memory_does_not_grow_with_the_ids():
    done = subprocess.run([sys.executable, "-c", PEAK, "300000"], capture_output=True, check=True)
    megabytes, repeated = map(int, done.stdout.split())
    assert repeated == 10_000
    assert megabytes <= 20  # the ids alone have 19 MB
