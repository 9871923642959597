"""Processor time and memory of `embed` by each engine, over `add` into memory of the same images.

python -m tests.benchmarks.engines [IMAGES ROUNDS]
"""

import contextlib
import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from tools.gallery import draw

SHARED = Path(__file__).resolve().parents[3] / "shared/data/imagenet-subset/train"
SHARD = 1_000
MODEL = "classic"
_INTERVAL = 0.1  # seconds between two looks at the processes
_ADD = """
import sys, imgsearch
with imgsearch.open("memory://", model=sys.argv[2]) as library:
    library.add(sys.argv[1])
"""
_DAEMONS = {"RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "true"}


def copies(folder, number):
    """Write JPEGs of different bytes: each round over the photographs has a byte more at its end.

    A decoder passes over bytes after the end of an image, so that all are decoded alike.
    """
    source = SHARED
    if not source.is_dir():
        draw(folder / "drawn", per_class=50)
        source = folder / "drawn/train"
    files = sorted(file for file in source.rglob("*.*") if file.suffix.lower() in {".jpg", ".jpeg"})
    (folder / "images").mkdir()
    for place, file in enumerate(itertools.islice(itertools.cycle(files), number)):
        data = file.read_bytes() + b"\0" * (place // len(files))
        (folder / f"images/{place:06}.jpg").write_bytes(data)
    return folder / "images"


def measured(*words):
    """Run a command; return its processor seconds, and the memory of its largest child in MB.

    The times of all processes below it are summed as they were last seen, because a cluster's
    processes are killed and leave no times with their parents.
    """
    environment = {**os.environ, **_DAEMONS}  # noqa: TID251 - a child gets it
    seconds, sizes = {}, {}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    root = psutil.Process(process.pid)
    while process.poll() is None:
        for member in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                times, key = member.cpu_times(), (member.pid, member.create_time())
                seconds[key] = times.user + times.system
                if "raylet" not in member.name() and "gcs" not in member.name():
                    sizes[key] = max(sizes.get(key, 0), member.memory_info().rss / 1e6)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_INTERVAL)
    if process.returncode:
        raise RuntimeError(process.stderr.read())
    children = [size for (pid, _), size in sizes.items() if pid != root.pid]
    return sum(seconds.values()), max(children, default=max(sizes.values()))


def embed(images, folder, engine):
    """Measure a job, and then a run of the same job that has no shard left."""
    program = (sys.executable, "-m", "imgsearch", "embed")
    to = ("--to", str(folder / "job"), "--engine", engine)
    options = ("--model", MODEL, "--shard", str(SHARD))
    full = measured(*program, str(images), *to, *options)
    return full, measured(*program, *to)


def one_round(images):
    """Return processor seconds and MB by what was run."""
    figures = {"add": measured(sys.executable, "-c", _ADD, str(images), MODEL)}
    for engine in ("here", "daft", "ray"):
        if engine == "here" or importlib.util.find_spec(engine):
            with tempfile.TemporaryDirectory() as folder:
                figures[engine], figures[f"{engine}, 0 shards"] = embed(
                    images, Path(folder), engine
                )
    return figures


def main(arguments):
    number, rounds = map(int, arguments or ("5000", "5"))
    with tempfile.TemporaryDirectory() as folder:
        images = copies(Path(folder), number)
        outcomes = []
        for _ in range(rounds):
            outcomes.append(one_round(images))
            print(json.dumps(outcomes[-1]), flush=True)
    print(f"engines: {MODEL}, {number} images, shards of {SHARD}, {rounds} rounds, paired")
    for name in outcomes[0]:
        seconds = statistics.median(figures[name][0] for figures in outcomes)
        size = max(figures[name][1] for figures in outcomes)
        print(f"  {name}: {seconds:.1f} s of processor time, largest process {size:.0f} MB")
    for name in ("here", "daft", "ray"):
        if name not in outcomes[0]:
            continue
        empty = f"{name}, 0 shards"
        report(f"{name} / add", [figures[name][0] / figures["add"][0] for figures in outcomes])
        report(
            f"({name} - 0 shards) / add",
            [(figures[name][0] - figures[empty][0]) / figures["add"][0] for figures in outcomes],
        )


def report(what, ratios):
    print(f"  {what}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main(sys.argv[1:])
