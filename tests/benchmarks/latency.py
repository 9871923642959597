"""The first result of `imgsearch search` in a cold process, and searches after the first."""

import resource
import statistics
import subprocess
import sys
import tempfile
from time import perf_counter

import imgsearch
from imgsearch.images import decode
from imgsearch.images.sources import read, references
from tests.benchmarks.overhead import MOBILENET, SHARED

COLD = 10
SUBSET = SHARED / "data/imagenet-subset"


def main():
    print("latency: 1,000 images in the embedded Milvus file, mobilenetv2_100")
    if not SUBSET.is_dir():
        print("  skipped: ../shared/data/imagenet-subset is missing")
        return
    queries = [reference.path for reference in references(str(SUBSET / "test"))]
    with tempfile.TemporaryDirectory() as folder:
        url = f"{folder}/deep.db"
        with imgsearch.open(url, **MOBILENET) as library:
            library.add(str(SUBSET / "train"))
        words = [sys.executable, "-m", "imgsearch", "search", queries[0], "--db", url, "--json"]
        seconds, processor = [], []
        for _ in range(COLD):
            started, before = perf_counter(), processor_time()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            seconds.append(perf_counter() - started)
            processor.append(processor_time() - before)
        report_times("cold `imgsearch search`, s", seconds)
        report_times("its processor time, s", processor)
        with imgsearch.open(url) as library:
            encoder = imgsearch.load_encoder(**library.recipe.config())
            library.search(queries[0])
            beside = []
            for path in queries[1:]:
                started = perf_counter()
                library.search(path)
                searched = perf_counter()
                encoder.encode([decode(read(path), path=path)])
                beside.append(1000 * (searched - started - (perf_counter() - searched)))
        report_times("a later search besides decoding and the encoder, ms", beside)


def processor_time():
    """Return the processor time of all ended child processes, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def report_times(what, values):
    median, low, high = statistics.median(values), min(values), max(values)
    print(f"  {what}: {median:.2f} (min {low:.2f}, max {high:.2f}), n = {len(values)}")


if __name__ == "__main__":
    main()
