"""HNSW over 50,000 x 512 clustered unit vectors on Milvus, embedded and server; our own overhead.

Both sides of each ratio reach the server through the tests' relay.
"""

import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil
from pymilvus import MilvusClient

from imgsearch.backends import Index, Schema, connect
from imgsearch.types import Record
from tests.services.milvus_server import MilvusServer, unavailable

ROWS, DIM, K = 50_000, 512, 10
CENTERS, SPREAD = 1_000, 0.8  # length of the noise to the center's: cosines of .6 in a cluster
QUERIES = 500
BATCH = 1_000
ROUNDS = 7
SCHEMA = Schema(DIM, "cosine", Index("hnsw"), {"path": "str"})


def data():
    """Return rows (ROWS, DIM) and queries (QUERIES, DIM), unit vectors around the same centers."""
    rng = np.random.default_rng(50_000)
    centers = rng.normal(size=(CENTERS, DIM))

    def drawn(n):
        points = centers[rng.integers(CENTERS, size=n)] + SPREAD * rng.normal(size=(n, DIM))
        return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)

    return drawn(ROWS), drawn(QUERIES)


def records(rows, start=0):
    return [
        Record(f"{start + i:064x}", row, {"path": f"图片/{start + i}.jpg"})
        for i, row in enumerate(rows)
    ]


def recall(hits_by_query, rows, queries):
    """Return the share of hits no farther than the exact K-th neighbor. Ties count."""
    exact = queries.astype(np.float64) @ rows.T.astype(np.float64)
    bound = np.partition(exact, -K, axis=1)[:, -K] - 1e-6
    right = [
        sum(exact[query, int(hit.id, 16)] >= bound[query] for hit in hits)
        for query, hits in enumerate(hits_by_query)
    ]
    return sum(right) / (K * len(queries))


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def resident(processes):
    return sum(process.memory_info().rss for process in processes) / 2**20


def filled(collection, rows):
    """Write all rows and index them; return rows per second, and the seconds to index them."""
    wanted = [records(rows[start : start + BATCH], start) for start in range(0, ROWS, BATCH)]
    started = perf_counter()
    for batch in wanted:
        collection.upsert(batch)
    written = perf_counter()
    collection.flush()
    built = perf_counter()
    collection.settle()  # a server may compare rows one by one for a while
    return ROWS / (written - started), built - written


def latencies(collection, queries):
    hits_by_query, times = [], []
    for query in queries:
        started = perf_counter()
        hits_by_query += collection.search(query[None], k=K)
        times.append(1_000 * (perf_counter() - started))
    return hits_by_query, np.percentile(times, [50, 95])


def measure(name, url, token, folder, processes, rows, queries):
    with connect(url, token=token) as store:
        before = resident(processes)
        collection = store.create("gallery", SCHEMA)
        speed, building = filled(collection, rows)
        latencies(collection, queries[:50])  # warm up
        hits_by_query, (median, slow) = latencies(collection, queries)
        after = resident(processes)
        print(
            f"  {name}: insert {speed:,.0f} rows/s, then flush and index {building:.1f} s; "
            f"recall@{K} {recall(hits_by_query, rows, queries):.4f}, latency p50 {median:.1f} ms, "
            f"p95 {slow:.1f} ms (n = {QUERIES}); memory {before:.0f} -> {after:.0f} "
            f"MB, disk {size(folder):.0f} MB; indexed {collection.indexed():,} of {ROWS:,}"
        )


def paired(what, first, second, calls, *, goal):
    """Print the ratio of the times of `first` and `second`, which alternate call by call."""
    ratios = []
    for _ in range(ROUNDS):
        times = {first: [], second: []}
        for turn, call in enumerate(calls):
            for run in (first, second) if turn % 2 else (second, first):
                started = perf_counter()
                run(call)
                times[run].append(perf_counter() - started)
        ratio = statistics.median(times[first]) / statistics.median(times[second])
        ratios.append(ratio)
    print(
        f"  {what} = {statistics.median(ratios):.3f} (min {min(ratios):.3f}, max "
        f"{max(ratios):.3f}, n = {ROUNDS} rounds of {len(calls)} pairs, medians; goal {goal})"
    )


def searching(store, client, queries):
    """Compare single searches: same parameters, same fields, every hit read."""
    collection = store.open("gallery")
    params = {"params": SCHEMA.index.search_params(K, None)}

    def ours(query):
        for hit in collection.search(query[None], k=K)[0]:
            assert hit.fields["path"]

    def bare(query):
        (hits,) = client.search(
            "gallery", [query], limit=K, output_fields=["id", "path", "$meta"],
            search_params=params, anns_field="vector", consistency_level="Session",
        )  # fmt: skip
        for hit in hits:
            assert hit["entity"]["path"]

    paired("search: ours / bare client", ours, bare, queries[:200], goal="<= 1.10")


def main():
    print(f"index: HNSW, {ROWS:,} x {DIM}, {CENTERS:,} clusters, cosine, default parameters")
    rows, queries = data()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if why := unavailable():
            print(f"  no server: {why}")
        else:
            with MilvusServer(Path(folder) / "server") as server:
                inside = [psutil.Process(server.group), *psutil.Process(server.group).children()]
                kept = server.folder / "data"
                measure("Milvus 2.3.5", server.url, server.token, kept, inside, rows, queries)
                with connect(server.url, token=server.token) as store:
                    uri = server.url.replace("milvus://", "http://").removesuffix("/default")
                    client = MilvusClient(uri, token=server.token)
                    searching(store, client, queries)
                    client.close()
        lite = Path(folder) / "lite.db"
        measure("milvus-lite", str(lite), None, lite, [psutil.Process()], rows, queries)


if __name__ == "__main__":
    main()
