"""`add` and `search` through their pipelines, over the same steps called directly.

The direct form is the oracle: it has the same engine, encoder and store, and no Towhee.
"""

import statistics
import tempfile
import uuid
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import imgsearch
from imgsearch.encoders import Recipe
from imgsearch.encoders.embedding import Chunk, Embedding
from imgsearch.encoders.query_encoder import QueryEncoder
from imgsearch.images.sources import references
from imgsearch.library.collection_sink import CollectionSink
from imgsearch.library.hit_finder import HitFinder
from imgsearch.library.ingest import Ingest
from imgsearch.library.progress import Tally
from imgsearch.pipelines.chunks import IngestPipeline
from imgsearch.query import SearchOptions
from tests.benchmarks.overhead import SHARED
from tests.benchmarks.throughput import seeded

ROUNDS = 5
QUERIES = 100
SUBSET = SHARED / "data/imagenet-subset"


def add_directly(library, sources):
    """Run the load engine with the embedding step itself in the place of the pipeline."""
    step = Embedding(library.recipe)

    def run(chunk):
        return chunk.write(step(chunk.images))

    sink = CollectionSink(library._handle, Tally())
    Ingest(sink, run).run(sources)
    return sink.collection


def search_directly(library, query):
    """Encode and search with the same functions that the operators call."""
    encoded = QueryEncoder(library.recipe).encode(query)
    return HitFinder(library.collection, library.thresholds, SearchOptions())(encoded)


def compare_add(config, sources):
    """Return images per second of both forms, and the ratios by round: wall clock, processor."""
    wall, cpu = [], []
    for number in range(ROUNDS + 1):
        times = {}
        forms = ("pipeline", "direct") if number % 2 else ("direct", "pipeline")
        for form in forms:
            with imgsearch.open(f"memory://{uuid.uuid4().hex}", **config) as library:
                started, used = perf_counter(), process_time()
                if form == "pipeline":
                    library.add([reference.path for reference in sources])
                else:
                    add_directly(library, sources)
                times[form] = perf_counter() - started, process_time() - used
                assert library.count() == len({reference.path for reference in sources})
        if number:  # the first round warms up
            wall.append(times["direct"][0] / times["pipeline"][0])
            cpu.append(times["direct"][1] / times["pipeline"][1])
    return wall, cpu


def compare_search(config, sources, queries):
    """Return the median milliseconds of a search in both forms, and their difference."""
    with (
        tempfile.TemporaryDirectory() as folder,
        imgsearch.open(f"{folder}/photos.db", **config) as library,
    ):
        library.add([reference.path for reference in sources])
        forms = {
            "pipeline": library.search,
            "direct": lambda query: search_directly(library, query),
        }
        times = {name: [] for name in forms}
        for number, query in enumerate(queries):
            hits = {}
            for name, form in forms.items():
                started = perf_counter()
                hits[name] = form(query)
                if number >= 5:
                    times[name].append(1000 * (perf_counter() - started))
            assert hits["pipeline"] == hits["direct"]
    return times


def fixed_costs(calls=200):
    """Print the processor time that a chunk and a search cost beside encoder and store."""
    pipeline, step = IngestPipeline(Recipe("classic")), Embedding(Recipe("classic"))
    forms = {"a chunk by the pipeline": lambda: pipeline(Chunk([])), "directly": lambda: step([])}
    for name, form in forms.items():
        form()
        used = process_time()
        for _ in range(calls):
            form()
        print(f"  {name}: {1000 * (process_time() - used) / calls:.2f} ms, n = {calls}")
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library:
        library.add(str(SUBSET / "test"))
        vector = library.encode(next(SUBSET.rglob("*.JPEG")))
        times = {"pipeline": [], "direct": []}
        for _ in range(calls):
            for name, form in (
                ("pipeline", library.search),
                ("direct", partial(search_directly, library)),
            ):
                started = perf_counter()
                form(vector)
                times[name].append(1000 * (perf_counter() - started))
    for name, values in times.items():
        print(f"  search for a vector in 100, {name}: p50 {statistics.median(values):.2f} ms")
    pipeline.close()


def show(what, values):
    low, high = min(values), max(values)
    print(f"    {what} {statistics.median(values):.3f} (min {low:.3f}, max {high:.3f})")


def main():
    print("pipelines: add and search over the same steps without Towhee, paired")
    if not SUBSET.is_dir():
        print("  skipped: ../shared/data/imagenet-subset is missing")
        return
    fixed_costs()
    photos = list(references(str(SUBSET / "train")))
    queries = [Path(reference.path) for reference in references(str(SUBSET / "test"))][:QUERIES]
    with tempfile.TemporaryDirectory() as folder:
        configs = {"classic": {"model": "classic"}, "lite": {"model": "lite"}}
        weights = seeded(folder, "resnet50")
        options = {"runtime": "openvino"}
        configs["resnet50, OpenVINO"] = {
            "model": "timm:resnet50", "weights": weights, "options": options,
        }  # fmt: skip
        for name, config in configs.items():
            used = photos[:400]
            print(f"  {name}: {len(used)} photographs into memory, {ROUNDS} rounds")
            wall, cpu = compare_add(config, used)
            show("rate of add / direct form, wall clock", wall)
            show("rate of add / direct form, processor time", cpu)
            if name != "classic":
                times = compare_search(config, photos[:300], queries)
                for form, values in times.items():
                    print(f"    search, {form}: p50 {statistics.median(values):.1f} ms")
                pairs = zip(times["pipeline"], times["direct"], strict=True)
                show("search, ms more by the pipeline", [ours - least for ours, least in pairs])


if __name__ == "__main__":
    main()
