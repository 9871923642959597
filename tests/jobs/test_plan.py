"""The memory of the planner does not grow with the manifest."""

import subprocess
import sys

import pytest

MARKS = [pytest.mark.nightly, pytest.mark.timeout(900)]
GROWTH = """
import sys
from pathlib import Path

import psutil

from imgsearch.backends import Schema
from imgsearch.backends.vectors.folder import JobDescription
from imgsearch.backends.vectors.writer import JobWriter
from imgsearch.images import inputs
from imgsearch.images.inputs import Reading
from imgsearch.jobs.plan import Planner

schema = Schema(4, fields={"path": "str", "label": "str"})
job = JobWriter.create("job", JobDescription(schema, {"model": "lite"}, 4096))
planner = Planner(job, types=schema.fields, max_pixels=10**8)
process = psutil.Process()
before = peak = process.memory_info().rss
for shard in planner.run(inputs.references(Path(sys.argv[1]), Reading())):
    peak = max(peak, process.memory_info().rss)
assert "pandas" not in sys.modules  # 33 MB
print(planner.listed, peak - before)
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("suffix", "rows"),
    [
        ("parquet", 60_000),
        pytest.param("csv", 1_000_000, marks=MARKS),
        pytest.param("parquet", 1_000_000, marks=MARKS),
        pytest.param("jsonl", 1_000_000, marks=MARKS),
    ],
)
def test_memory_is_flat_over_a_manifest(tmp_path, suffix, rows):
    manifest = tmp_path / f"liste.{suffix}"
    write(manifest, rows)
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, manifest.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=800,
    )
    listed, growth = map(int, done.stdout.split())
    assert listed == rows
    assert growth <= 50 * 2**20


def write(manifest, rows):
    paths = (f"/fotos/2024/{n % 1000:04}/größe_{n:08}.jpg" for n in range(rows))
    if manifest.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"path": list(paths), "label": ["katze"] * rows}), manifest)
        return
    with manifest.open("w", encoding="utf-8") as file:
        if manifest.suffix == ".csv":
            file.write("path,label\n")
            file.writelines(f"{path},katze\n" for path in paths)
        else:
            file.writelines(f'{{"path": "{path}", "label": "katze"}}\n' for path in paths)
