"""Inserting into a Milvus server through the backend and with the bare client, in turns.

python -m tests.benchmarks.inserting [--rows 100000] [--rounds 5] [--profile]

Each side upserts the same rows of 512 numbers and two fields into a collection of its own, 1,000
rows a call. A round is one pass of each; the sides take turns call by call, so that both see the
same load. `--profile` prints where the backend's time goes.
"""

import cProfile
import pstats
import statistics
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import click
import numpy as np
from pymilvus import DataType, MilvusClient

from imgsearch.backends import Schema, connect
from imgsearch.types import Record
from tests.services.milvus_server import MilvusServer, unavailable

DIM, BATCH = 512, 1_000
FIELDS = {"path": "str", "year": "int"}


def vectors(rows):
    drawn = np.random.default_rng(7).standard_normal((rows, DIM), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def sides(store, client, drawn):
    """Return a function for each side that writes the rows from `start` on.

    Each round writes the same vectors with other ids.
    """
    collection = store.create("ours", Schema(DIM, fields=FIELDS))
    columns = client.create_schema(enable_dynamic_field=True)
    columns.add_field("id", DataType.VARCHAR, is_primary=True, max_length=512)
    columns.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    columns.add_field("path", DataType.VARCHAR, max_length=65_535)
    columns.add_field("year", DataType.INT64)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="HNSW", metric_type="COSINE",
                    params={"M": 16, "efConstruction": 200})  # fmt: skip
    client.create_collection("bare", schema=columns, index_params=index)

    def facts(start):
        return [
            (f"{number:064x}", vector, {"path": f"/fotos/{number}.jpg", "year": 2000})
            for number, vector in enumerate(drawn[start % len(drawn) :][:BATCH], start)
        ]

    def ours(start):
        rows = [Record(*row) for row in facts(start)]
        started, used = perf_counter(), process_time()
        collection.upsert(rows)
        return perf_counter() - started, process_time() - used

    def bare(start):
        rows = [{"id": id_, "vector": vector, **fields} for id_, vector, fields in facts(start)]
        started, used = perf_counter(), process_time()
        client.upsert("bare", rows)
        return perf_counter() - started, process_time() - used

    return {"ours": ours, "bare": bare}


@click.command()
@click.option("--rows", default=100_000, show_default=True, help="Rows of a round.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--profile", is_flag=True)
def main(rows, rounds, profile):
    if why := unavailable():
        print(f"  no server: {why}")
    else:
        measure(rows, rounds, profile=profile)


def measure(rows, rounds, *, profile):
    """Start a server, and print each round and the medians."""
    drawn = vectors(rows)
    with tempfile.TemporaryDirectory() as folder:
        server = MilvusServer(Path(folder))
        address = server.url.replace("milvus://", "http://").removesuffix("/default")
        client = MilvusClient(address, token=server.token)
        try:
            with connect(server.url, token=server.token) as store:
                write = sides(store, client, drawn)
                profiler = cProfile.Profile()
                ratios = {"wall clock": [], "processor time": []}
                for number in range(rounds):
                    spent = {name: np.zeros(2) for name in write}
                    starts = range(number * rows, (number + 1) * rows, BATCH)
                    for turn, start in enumerate(starts):
                        for name in ("ours", "bare")[:: 1 - 2 * (turn % 2)]:
                            if profile and name == "ours":
                                profiler.enable()
                            spent[name] += write[name](start)
                            profiler.disable()
                    for what, ours, bare in zip(ratios, spent["ours"], spent["bare"], strict=True):
                        ratios[what].append(bare / ours)
                    text = ", ".join(
                        f"{name} {rows / wall:,.0f} rows/s and {1e6 * used / rows:.1f} us of "
                        "processor time a row"
                        for name, (wall, used) in spent.items()
                    )
                    print(f"  round {number + 1}: {text}", flush=True)
                for what, values in ratios.items():
                    print(
                        f"  {what}: ours / bare, rows a second: {statistics.median(values):.2f} "
                        f"({min(values):.2f} to {max(values):.2f}), {rounds} rounds of {rows:,}"
                    )
                if profile:
                    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        finally:
            client.close()
            server.close()


if __name__ == "__main__":
    main()
