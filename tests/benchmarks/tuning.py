"""Indexes of a real Milvus server over 50,000 image vectors: recall, latency, build, memory, disk.

The vectors are by lite, from random crops of a few hundred images. Their distribution differs
from as many photographs, because crops of one image are similar. Each index is tuned in a
separate server, so the growth of the server's memory and folder belongs to that index.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil

from imgsearch.backends import Index, Schema, connect
from imgsearch.datasets.dataset import load as load_dataset
from imgsearch.encoders import load
from imgsearch.evaluation.index.tune import tune
from imgsearch.images import decode
from imgsearch.images.sources import read
from imgsearch.types import Record
from tests.services.milvus_server import MilvusServer, unavailable
from tools.gallery import draw

ROWS = 50_000  # searched rows; the queries are additional
QUERIES, K = 1_000, 10
SEED = 2026
LEAST = 0.3  # of an edge: smaller crops of the small images are mostly blur
GRID = (
    "flat",
    "ivf_flat:nlist=1024@4,16,64",
    "ivf_sq8:nlist=1024@16,64",
    "hnsw:M=16,efConstruction=200@16,64,256",
    "hnsw:M=32,efConstruction=200@16,64,256",
)
HEADER = (
    "| index | effort | recall (95 %) | p50 / p95 / p99 ms | write + build s | index MB* | "
    "server's memory, disk MB |\n|---|---|---|---|---|---|---|"
)
ROOT = Path(__file__).resolve().parents[2]


def gallery(folder):
    """Return the paths of images: from IMGSEARCH_DATA, of the ImageNet subset, or drawn."""
    given = os.environ.get("IMGSEARCH_DATA")  # noqa: TID251  # tests have no settings
    for place in (
        given,
        ROOT / "data/imagenet-subset",
        ROOT.parent / "shared/data/imagenet-subset",
    ):
        if place and Path(place).is_dir():
            break
    else:
        place = Path(folder) / "drawn"
        draw(place)
    dataset = load_dataset(place)
    items = (*dataset.gallery, *dataset.queries)
    return dataset.name, sorted({str(item.path) for item in items})


def crop(image, rng):
    """Return a part of an image, with edges of LEAST to 1 of the whole."""
    height, width = image.shape[:2]
    high, wide = (max(8, int(edge * rng.uniform(LEAST, 1))) for edge in (height, width))
    top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
    return np.ascontiguousarray(image[top : top + high, left : left + wide])


def vectors(paths, number):
    """Return `number` records of crops from all images in turn. Every image is decoded once."""
    encoder, rng = load("lite"), np.random.default_rng(SEED)
    crops_per_image = -(-number // len(paths))
    records = []
    for path in paths:
        image = decode(read(path), path=path)
        crops = [crop(image, rng) for _ in range(min(crops_per_image, number - len(records)))]
        if crops:
            encoded = encoder.encode(crops)
            records += [
                Record(f"{len(records) + place:06d}", row, {"path": path})
                for place, row in enumerate(encoded)
            ]
    return encoder.fingerprint, records, crops_per_image


def resident(server):
    inside = psutil.Process(server.group)
    members = [inside, *inside.children(recursive=True)]
    return sum(process.memory_info().rss for process in members) / 1e6


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def tried(source, index, place):
    """Tune one index in a new server; return the measurement and the server's growth in MB."""
    grown = {}
    with MilvusServer(place) as server, connect(server.url, token=server.token) as store:
        memory, disk = resident(server), size(server.folder / "data")

        def report(stage, done, total):
            if stage.startswith("searching"):
                grown["memory"] = resident(server) - memory
                grown["disk"] = size(server.folder / "data") - disk

        done = tune(
            source, "crops", into=store, indexes=[index], k=K, queries=QUERIES, on_progress=report
        )
    return done, grown


def main(rows=ROWS):
    print(f"tuning: {rows:,} vectors of image crops by lite, a real Milvus server, k = {K}")
    if why := unavailable():
        print(f"  left out: {why}")
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        name, paths = gallery(folder)
        queries = min(QUERIES, rows)
        fingerprint, records, crop_count = vectors(paths, rows + queries)
        print(
            f"  {len(records):,} crops, {crop_count} of each of {len(paths):,} images of {name}, "
            f"seed {SEED}; {fingerprint.dim}-d, cosine; {queries:,} of them are the queries"
        )
        print(HEADER)
        notes = []
        with connect("memory://crops-to-tune") as source:
            schema = Schema(fingerprint.dim, "cosine", Index("flat"), {"path": "str"}, fingerprint)
            source.create("crops", schema).upsert(records)
            for number, index in enumerate(GRID):
                done, grown = tried(source, index, Path(folder) / f"server{number}")
                notes += done.notes
                for one in done.measurements:
                    print(
                        f"| `{one.index}` | {one.effort or ''} | {one.recall:.4f} "
                        f"({one.low:.4f} to {one.high:.4f}) | {one.p50:.1f} / {one.p95:.1f} / "
                        f"{one.p99:.1f} | {one.write:.1f} + {one.build:.1f} | "
                        f"{one.memory / 1e6:.0f} | +{grown['memory']:.0f}, +{grown['disk']:.0f} |",
                        flush=True,
                    )
                    if one.indexed != done.searched:
                        notes.append(f"{one.index}: {one.indexed:,} of {done.searched:,} indexed")
        print("  * by formula, of the index alone; memory and disk are what the server grew by")
        for line in dict.fromkeys(notes):
            print(f"  {line}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
