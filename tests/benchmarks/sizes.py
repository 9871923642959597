"""Searches of the embedded store, of a Milvus server and of memory as a collection grows.

`python -m tests.benchmarks.sizes [ROWS…]`. The stores grow together, size by size, and are searched
in turns, so a ratio compares figures of the same minutes. The processor time of a search
includes this process, and for the server also its processes.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import psutil

from imgsearch.backends import Index, Schema, connect
from tests.benchmarks.index import CENTERS, SPREAD, records
from tests.services.milvus_server import MilvusServer, unavailable

SIZES = (10_000, 20_000, 40_000, 100_000, 200_000, 300_000)
DIM, K = 384, 10  # the dimension of lite, the default encoder
BATCH = 1_000
ROUNDS, QUERIES = 5, 20  # a round searches each store for the same queries, one by one
SEED = 300_000


class Vectors:
    """Unit vectors around the same centers, as many as wanted."""

    def __init__(self, dim=DIM):
        self._rng = np.random.default_rng(SEED)
        self._centers = self._rng.normal(size=(CENTERS, dim))

    def draw(self, n):
        noise = SPREAD * self._rng.normal(size=(n, self._centers.shape[1]))
        points = self._centers[self._rng.integers(CENTERS, size=n)] + noise
        return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


class Store:
    """A collection of a store, with the processes whose processor time a search takes."""

    def __init__(self, name, backend, processes=()):
        self.name, self._processes = name, processes
        self.collection = backend.create("sizes", Schema(DIM, "cosine", Index("hnsw")))

    def processor(self):
        others = (process.cpu_times() for process in self._processes)
        return process_time() + sum(times.user + times.system for times in others)

    def grow(self, rows, start):
        """Write rows; return the seconds of writing, and of flushing and indexing."""
        started = perf_counter()
        for place in range(0, len(rows), BATCH):
            batch = records(rows[place : place + BATCH], start + place)
            self.collection.upsert(batch)
        written = perf_counter()
        self.collection.flush()
        built = perf_counter()
        self.collection.settle()
        return written - started, built - written

    def search(self, queries):
        """Search for each query; return wall and processor time of one search in ms."""
        started, worked = perf_counter(), self.processor()
        for query in queries:
            self.collection.search(query[None], k=K)
        number = len(queries) / 1_000
        return (perf_counter() - started) / number, (self.processor() - worked) / number


def opened(stack, folder):
    """Return the stores, the server only where it can run."""
    stores = [
        Store("memory", stack.enter_context(connect("memory://sizes"))),
        Store("embedded", stack.enter_context(connect(str(folder / "lite.db")))),
    ]
    if why := unavailable():
        print(f"  no server: {why}")
        return stores
    server = stack.enter_context(MilvusServer(folder / "server"))
    parent = psutil.Process(server.group)
    backend = stack.enter_context(connect(server.url, token=server.token, timeout=600))
    return [*stores, Store("server", backend, [parent, *parent.children(recursive=True)])]


def spread(times):
    return f"{np.median(times):.1f} ({min(times):.1f} to {max(times):.1f})"


def main(sizes=SIZES):
    """Print a table row for each size and store."""
    print(f"sizes: {DIM}-d, cosine, HNSW (memory: exact), k = {K}, {ROUNDS} rounds of {QUERIES}")
    print("| rows | store | processor time of a search, ms | wall clock, ms | write + index s |")
    print("|---|---|---|---|---|")
    vectors, rows = Vectors(), 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        stores = opened(stack, Path(folder))
        for size in sizes:
            new = vectors.draw(size - rows)
            grown = {store.name: store.grow(new, rows) for store in stores}
            rows = size
            times = {store.name: [] for store in stores}
            for turn in range(ROUNDS + 1):  # the first one warms up
                queries = vectors.draw(QUERIES)
                for store in stores if turn % 2 else reversed(stores):
                    times[store.name].append(store.search(queries))
            for name, both in times.items():
                wall, processor = zip(*both[1:], strict=True)
                write, index = grown[name]
                cells = (f"{rows:,}", name, spread(processor), spread(wall))
                print(f"| {' | '.join(cells)} | {write:.0f} + {index:.0f} |", flush=True)


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]] or SIZES)
