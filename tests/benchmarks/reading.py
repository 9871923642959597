"""`add` and `migrate` with files read ahead of their turn, and in their turn.

The files are on a fast disk, and on a slow one, which waits before each file. Both ways run in
turns, with `lite` into memory. ``python -m tests.benchmarks.reading migrate`` measures one command.
"""

import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import imgsearch
from imgsearch.images import sources
from imgsearch.library.collection_sink import CollectionSink
from imgsearch.library.shadow_sink import ShadowSink
from tests.benchmarks.overhead import SHARED
from tests.benchmarks.unchanged import seconds
from tools.gallery import draw

IMAGES = 400
ROUNDS = 5
WAITS = (0.0, 0.02)  # seconds before each file


def photos(folder):
    """Return the paths of photographs of the ImageNet subset, or of drawn pictures."""
    place = SHARED / "data/imagenet-subset/train"
    if not place.is_dir():
        draw(folder, per_class=50)
        place = folder
    return sorted(map(str, place.rglob("*.[jJ][pP]*")))[:IMAGES]


def slow(wait):
    """Return the function that opens files, with a wait before."""
    opened = sources.open_regular

    def open_regular(path):
        time.sleep(wait)
        return opened(path)

    return patch.object(sources, "open_regular", open_regular) if wait else nullcontext()


def reading(sink, *, ahead):
    """Let a sink read in turn, unless `ahead` is True."""
    return nullcontext() if ahead else patch.object(sink, "early", lambda _sink, _item: None)


def add(files, *, ahead):
    """Return the processor time and the wall time of `add`."""
    with (
        reading(CollectionSink, ahead=ahead),
        imgsearch.open(f"memory://reading-{time.perf_counter_ns()}") as library,
    ):
        *times, report = seconds(lambda: library.add(files, progress=False))
        assert report.added == len(files), report
    return times


def migrate(files, *, ahead):
    """Return the processor time and the wall time of a migration without its switch."""
    with imgsearch.open("memory://reading-migration", model="classic") as library:
        if not library.exists():
            library.add(files, progress=False)
        with reading(ShadowSink, ahead=ahead):
            *times, report = seconds(lambda: library.migrate("lite", progress=False))
        assert report.load.added == len(files), report
        library.migration().discard()
    return times


def main():
    names = sys.argv[1:] or ["add", "migrate"]
    with tempfile.TemporaryDirectory() as place:
        files = photos(Path(place))
        for name in names:
            measure(name, files)


def measure(name, files):
    run = {"add": add, "migrate": migrate}[name]
    run(files, ahead=True)  # loads the model
    for wait in WAITS:
        with slow(wait):
            pairs = [[run(files, ahead=way) for way in (True, False)] for _ in range(ROUNDS)]
        print(f"{name}: {len(files)} images, {1000 * wait:.0f} ms a file, {ROUNDS} rounds")
        for place, what in enumerate(("processor time", "wall clock")):
            ratios = sorted(one[place] / other[place] for one, other in pairs)
            ours, others = (
                len(files) / statistics.median(pair[way][place] for pair in pairs) for way in (0, 1)
            )
            print(
                f"  ahead / in turn, {what}: {statistics.median(ratios):.2f} "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f}); {ours:.0f} and {others:.0f} images/s"
            )


if __name__ == "__main__":
    main()
