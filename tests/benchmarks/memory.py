"""Memory of adding 50,000 images: the resident set, every 2,000 images.

The store is a Milvus server in a separate process, so only the loader, the decoder and the
encoder are measured. The images are 1,000 small photographs, each repeated with other bytes
behind its end, which change the content id but not the pixels.
"""

import gc
import io
import tempfile
from pathlib import Path

import psutil
from PIL import Image

import imgsearch
from imgsearch.images.sources import references
from tests.benchmarks.overhead import MOBILENET, SHARED
from tests.services.milvus_server import MilvusServer, unavailable

IMAGES = 50_000
FIRST = 2_000
EDGE = 200  # pixels; only the number of images matters
SUBSET = SHARED / "data/imagenet-subset/train"


def written(folder):
    """Write the files, a folder for every 1,000."""
    originals = []
    for reference in references(str(SUBSET)):
        with Image.open(reference.path) as image:
            small = image.convert("RGB")
            small.thumbnail((EDGE, EDGE))
            packed = io.BytesIO()
            small.save(packed, "JPEG", quality=85)
            originals.append(packed.getvalue())
    for number in range(IMAGES):
        place = Path(folder) / f"{number // 1000:03d}"
        place.mkdir(exist_ok=True)
        content = originals[number % len(originals)] + b"%d" % number
        (place / f"{number}.jpg").write_bytes(content)


def main():
    print(f"memory: {IMAGES:,} images through add, mobilenetv2_100, into a Milvus server")
    if reason := unavailable():
        print(f"  left out: {reason}")
        return
    if not SUBSET.is_dir():
        print("  skipped: ../shared/data/imagenet-subset is missing")
        return
    this, seen = psutil.Process(), {}

    def print_memory(progress):
        step = progress.done // FIRST
        if step not in seen:
            gc.collect()
            seen[step] = this.memory_info().rss / 2**20

    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as place,
        MilvusServer(Path(place) / "server") as server,
    ):
        written(folder)
        with imgsearch.open(server.url, token=server.token, index="flat", **MOBILENET) as library:
            report = library.add(folder, on_progress=print_memory)
    after = [size for step, size in seen.items() if step >= 1]
    print(f"  {report.added:,} added, {report.failed} failed, {report.seconds:.0f} s")
    print(f"  after {FIRST:,}: {after[0]:.0f} MiB, at most {max(after):.0f}, last {after[-1]:.0f}")
    most, last = max(after) - after[0], after[-1] - after[0]
    print(f"  growth: {most:+.0f} MiB at most, {last:+.0f} at the end")


if __name__ == "__main__":
    main()
