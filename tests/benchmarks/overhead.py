"""Overhead of the pipeline over decoding and encoding alone, on 1,000 images from disk."""

import statistics
import tempfile
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time

import imgsearch
from imgsearch.images import decode
from imgsearch.images.sources import read, references
from tools.gallery import draw

IMAGES = 1_000
ROUNDS = 5
BATCH = 32
SHARED = Path(__file__).resolve().parents[3] / "shared"
MOBILENET = {
    "model": "timm:mobilenetv2_100",
    "weights": SHARED / "weights/mobilenetv2_100.safetensors",
    "options": {"pad_type": "same", "mean": 0.5, "std": 0.5},
}


def alone(paths, encoder):
    """Decode one image after the other and encode batches: the minimum of work."""
    stream = iter(paths)
    while batch := list(islice(stream, BATCH)):
        encoder.encode([decode(read(path), path=path) for path in batch])


def measure(paths, config):
    encoder = imgsearch.load_encoder(**config)
    embed = imgsearch.embed_pipeline(**config)
    alone(paths[:BATCH], encoder)
    embed(paths[:BATCH])  # warm both up
    runs = {"alone": lambda: alone(paths, encoder), "pipeline": lambda: embed(paths)}
    wall, cpu = ({name: [] for name in runs} for _ in range(2))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started, used = perf_counter(), process_time()
            run()
            wall[name].append(perf_counter() - started)
            cpu[name].append(process_time() - used)
    speed = len(paths) / statistics.median(wall["pipeline"])
    print(f"  {config['model']}: {speed:.0f} images/s; pipeline / alone, {ROUNDS} rounds:")
    for what, times in (("wall clock", wall), ("processor time", cpu)):
        pairs = zip(times["pipeline"], times["alone"], strict=True)
        ratios = [ours / least for ours, least in pairs]
        print(
            f"    {what} {statistics.median(ratios):.3f} "
            f"(min {min(ratios):.3f}, max {max(ratios):.3f})"
        )


def main():
    print("overhead: embed_pipeline over decode and encode in a loop, one run, paired by round")
    subset = SHARED / "data/imagenet-subset/train"
    with tempfile.TemporaryDirectory() as folder:
        if subset.is_dir():
            source, what = subset, "the ImageNet subset's 1,000 JPEGs"
        else:
            draw(Path(folder) / "drawn", per_class=50)
            source, what = Path(folder) / "drawn/train", "drawn pictures"
        paths = [reference.path for reference in references(str(source))][:IMAGES]
        print(f"  on {what}")
        measure(paths, {"model": "classic"})
        if MOBILENET["weights"].exists():
            measure(paths, MOBILENET)
