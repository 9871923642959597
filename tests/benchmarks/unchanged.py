"""A sync of 50,000 unchanged files: processor time and wall time, with the listing apart.

The images are 4 x 4 pixels, and the encoder is a mean color: neither matters, as no file is read.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import imgsearch
from imgsearch.images import sources
from imgsearch.library.sync import list_folders

FILES = 50_000
ROUNDS = 5


class MeanColor:
    """An encoder that costs nothing."""

    name, version, dim = "mean-color", "1", 4

    def encode_images(self, images):
        return np.array([[*image.reshape(-1, 3).mean(axis=0), 1.0] for image in images])


def write(folder):
    """Write the files, a folder for every 500."""
    for number in range(FILES):
        file = folder / f"{number // 500:03d}" / f"{number:05d}.ppm"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"P6 4 4 255\n" + number.to_bytes(4) * 12)


def seconds(call):
    """Return the processor time and the wall time of a call, and its result."""
    start = time.process_time(), time.perf_counter()
    result = call()
    return time.process_time() - start[0], time.perf_counter() - start[1], result


def main():
    with tempfile.TemporaryDirectory() as place:
        folder, store = Path(place, "photos"), Path(place, "photos.db")
        write(folder)
        with imgsearch.open(str(store), model=MeanColor()) as library:
            assert library.add(folder, progress=False).added == FILES
        read, sources.read = sources.read, None  # no file is read
        listing, whole = [], []
        for _ in range(ROUNDS):
            with imgsearch.open(str(store), model=MeanColor()) as library:
                listing.append(seconds(lambda: list_folders([folder]))[:2])
                *times, report = seconds(lambda: library.sync(folder, progress=False))
            assert (report.unchanged, report.added, report.changed) == (FILES, 0, 0)
            whole.append(times)
        sources.read = read
    for clock, name in enumerate(("processor", "wall")):
        rests = [sync[clock] - listed[clock] for sync, listed in zip(whole, listing, strict=True)]
        print(
            f"sync of {FILES:,} unchanged files, {name}: listing "
            f"{statistics.median(times[clock] for times in listing):.2f} s, the rest "
            f"{statistics.median(rests):.2f} s ({min(rests):.2f} to {max(rests):.2f}), "
            f"load {os.getloadavg()[0]:.1f}"
        )


if __name__ == "__main__":
    main()
