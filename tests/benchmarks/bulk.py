"""Bulk copies against upserts, and our inserts against the bare client's, on Milvus 2.3.5.

``python -m tests.benchmarks.bulk`` measures all, a number after it sets the rows of the copies.
``python -m tests.benchmarks.bulk kills`` kills the server during a bulk copy, twice.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from time import monotonic, perf_counter, process_time

import numpy as np
import pyarrow as pa
from pymilvus import MilvusClient

import imgsearch
from imgsearch.backends import Schema, connect, versions
from imgsearch.backends.vectors.folder import JobDescription
from imgsearch.backends.vectors.writer import JobWriter
from imgsearch.errors import ImgSearchError
from imgsearch.types import Fingerprint, Record
from tests.services.milvus_server import MilvusServer, unavailable

DIM, SHARD = 512, 4_000
SCHEMA = Schema(DIM, fields={"path": "str"}, encoder=Fingerprint("toy", DIM))
INSERTED, BATCH, ROUNDS = 100_000, 1_000, 5
KILLS = 2


def vectors(rows, seed):
    """Return unit vectors around 1,000 centers."""
    centers = np.random.default_rng(0).standard_normal((1_000, DIM))
    rng = np.random.default_rng(seed)
    near = centers[rng.integers(1_000, size=rows)] + 0.7 * rng.standard_normal((rows, DIM))
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


def job_of(folder, rows):
    """Write a job of `rows` rows."""
    job = JobWriter.create(str(folder), JobDescription(SCHEMA, {}, SHARD))
    for shard in range(rows // SHARD):
        job.plan(shard, pa.table({"source": pa.array([], pa.string())}))
        part = vectors(SHARD, shard + 1)
        job.write(
            shard,
            [Record(f"{shard}-{n}", row, {"path": f"猫/{n}.jpg"}) for n, row in enumerate(part)],
        )
    job.finish_plan(rows // SHARD, rows)
    return job


def copies(store, job):
    """Compare a bulk copy with upserts, from the job to an indexed, verified collection."""
    seconds = {}
    for what, options in (
        ("bulk", {"alias": "bulk", "bulk": True}),
        ("upserts", {"name": "upserts"}),
        ("upserts by 4 threads", {"name": "threads", "writers": 4}),
    ):
        started, worked = monotonic(), process_time()
        done = imgsearch.copy(job.url, store, **options)
        seconds[what] = monotonic() - started
        recall = "" if done.recall is None else f", ann_recall@10 {done.recall:.4f}"
        print(
            f"  {what}: {done.copied:,} rows in {seconds[what]:.1f} s, "
            f"{process_time() - worked:.1f} s of our processor{recall}"
        )
    print(f"  bulk / upserts = {seconds['bulk'] / seconds['upserts']:.2f}")


def inserts(server, store):
    """Compare upserts of 100,000 rows, in pairs of batches that alternate."""
    client = MilvusClient(server.url.replace("milvus://", "http://"), token=server.token)
    ratios, works = [], []
    for number in range(ROUNDS):
        ours, _ = (store.create(f"{side}_{number}", SCHEMA) for side in ("ours", "bare"))
        times, work = {"ours": [], "bare": []}, {"ours": 0.0, "bare": 0.0}
        for turn, start in enumerate(range(0, INSERTED // ROUNDS, BATCH)):
            rows = vectors(BATCH, start)
            for side in ("ours", "bare") if turn % 2 else ("bare", "ours"):
                began, worked = perf_counter(), process_time()
                if side == "ours":
                    ours.upsert(
                        Record(f"{start + n:064x}", row, {"path": f"图片/{n}.jpg"})
                        for n, row in enumerate(rows)
                    )
                else:
                    client.upsert(f"bare_{number}", [
                        {"id": f"{start + n:064x}", "vector": row, "path": f"图片/{n}.jpg"}
                        for n, row in enumerate(rows)
                    ])  # fmt: skip
                times[side].append(perf_counter() - began)
                work[side] += process_time() - worked
        ratios.append(statistics.median(times["bare"]) / statistics.median(times["ours"]))
        works.append(work["bare"] / work["ours"])
    client.close()
    print(
        f"  insert: ours / bare client, rows/s = {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}); by processor time of the client "
        f"{statistics.median(works):.3f} ({min(works):.3f} to {max(works):.3f}); {ROUNDS} rounds "
        f"of {INSERTED // ROUNDS:,} rows each"
    )


def kills(folder, rows):
    """Kill the server during a bulk copy, and copy again until it is complete."""
    job, started, port = job_of(folder / "job", rows), monotonic(), 0
    for attempt in range(10):
        with MilvusServer(folder / "server", port=port, lease=20) as server:
            port = server.port
            limit = rows * (attempt + 1) // (KILLS + 2) if attempt < KILLS else rows + 1

            def kill(done, _total, server=server, limit=limit):
                if done >= limit:
                    server.close()

            try:
                with connect(server.url, token=server.token, timeout=10) as store:
                    done = imgsearch.copy(
                        job.url, store, alias="photos", bulk=True, on_progress=kill
                    )
                    count = versions.open_named(store, "photos").count()
            except ImgSearchError as error:
                print(f"  {monotonic() - started:.0f} s: {type(error).__name__}")
                continue
        print(
            f"  {monotonic() - started:.0f} s: complete after {attempt} kills: {count:,} rows, "
            f"{done.compared:,} compared, ann_recall@10 {done.recall:.4f}"
        )
        return


def main(words):
    if why := unavailable():
        print(f"  no server: {why}")
        return
    number = next((int(word) for word in words if word.isdecimal()), 20_000)
    print(f"bulk: Milvus 2.3.5, {DIM}-d, HNSW, cosine, {number:,} rows")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        if "kills" in words:
            kills(folder, number)
            return
        job = job_of(folder / "job", number)
        with (
            MilvusServer(folder / "server") as server,
            connect(server.url, token=server.token) as store,
        ):
            copies(store, job)
            inserts(server, store)


if __name__ == "__main__":
    main(sys.argv[1:])
