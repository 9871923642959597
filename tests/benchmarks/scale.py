"""The constants of `imgsearch plan` that are measured here: shards, and the HNSW of a segment.

`python -m tests.benchmarks.scale` prints bytes a row of a shard, and, by faiss in one thread, the
processor time a row of building an HNSW graph and of a search in it, by rows.
"""

import sys
import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from time import process_time

import faiss
import numpy as np

from imgsearch.backends import Index, Schema
from imgsearch.backends.vectors.writer import write_rows
from tests.benchmarks.index import records
from tests.benchmarks.sizes import Vectors

DIM, SHARD = 512, 16_384
M, EF_CONSTRUCTION, EF = 16, 200, 256  # the defaults of imgsearch
SIZES = (12_500, 25_000, 50_000, 100_000)
QUERIES = 200


def hashed(record):
    """Return the record with a content's id, which does not compress."""
    return replace(record, id=sha256(record.id.encode()).hexdigest())


def shards(rows):
    """Print the bytes a row of a job's shard, and the line through them."""
    sizes = {}
    for dim in (128, 256, 512):
        schema = Schema(dim, "cosine", Index("hnsw"), {"path": "str", "label": "str"})
        part = rows[:SHARD, :dim] / np.linalg.norm(rows[:SHARD, :dim], axis=1, keepdims=True)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "shard.parquet"
            write_rows(file, schema, map(hashed, records(part)))
            sizes[dim] = file.stat().st_size / SHARD
    slope, start = np.polyfit(list(sizes), list(sizes.values()), 1)
    texts = ", ".join(f"{size:.1f} at {dim}-d" for dim, size in sizes.items())
    print(
        f"  bytes a row of a shard of {SHARD:,}: {texts}; {start:.1f} + {slope:.4f} d", flush=True
    )


def graphs(rows, queries, sizes):
    """Print the processor time of building and searching an HNSW graph, by rows."""
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(DIM, M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, EF
    done, building = 0, 0.0
    for size in sizes:
        started = process_time()
        index.add(rows[done:size])
        building, done = building + process_time() - started, size
        started = process_time()
        index.search(queries, 10)
        searching = (process_time() - started) / len(queries)
        print(
            f"  HNSW, {size:,} x {DIM}: build {1000 * building / size:.3f} ms of processor time a "
            f"row; search with ef {EF} {1000 * searching:.2f} ms",
            flush=True,
        )


def main(sizes=SIZES):
    print(f"scale: faiss {faiss.__version__}, M {M}, efConstruction {EF_CONSTRUCTION}")
    vectors = Vectors(DIM)
    rows, queries = vectors.draw(max(*sizes, SHARD)), vectors.draw(QUERIES)
    shards(rows)
    graphs(rows, queries, sizes)


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]] or SIZES)
