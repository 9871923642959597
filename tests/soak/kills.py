"""A load that is killed again and again, and is complete all the same.

A process adds drawn images to an archive, and dies by SIGKILL at a random moment; the next one
repairs the archive and goes on. One that finds the load complete deletes a part and adds it again,
or drops the collection and creates it again, so that every kill falls into work. What was
acknowledged is written down beside the archive; each process looks after its repair whether it is
there, and whether rows, vectors and originals agree.
"""

import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from time import perf_counter

from imgsearch.archive import opened
from imgsearch.images import sources
from tests.archive.place import images, jpeg, state

SECONDS = 3.0  # the longest that a process works before it is killed
PIECE = 200  # images of one `add`: some chunks, of which one is written while another is embedded
CREATED = 0.5  # of the loads that are complete: the collection is dropped and created again
PARTS = 3  # one in so many images is deleted again


def main(kills=100, number=1_000, seed=4):
    print(f"kills: {number:,} drawn images, {kills} times SIGKILL at a random moment")
    moments, died, started = random.Random(seed), Counter(), perf_counter()  # noqa: S311
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for life in range(kills):
            died[_life(folder, number, life, moments.uniform(0, SECONDS))] += 1
        rows = _last(folder, number)
    told = ", ".join(f"{phase} {count}" for phase, count in sorted(died.items()))
    print(f"  killed while: {told}")
    print(f"  at the end {rows:,} rows, as many vectors and originals, no repeats")
    print(f"  {perf_counter() - started:.0f} s")
    return died


def _life(folder, number, life, seconds):
    """Let a process work for so many seconds after it opened the archive; return what it did."""
    words = [sys.executable, "-m", "tests.soak.kills", str(folder), str(number), str(life)]
    phase = "opening"
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                phase = line.decode().strip()
            told = process.stderr.read().decode()
        finally:
            timer.cancel()
            process.kill()
    assert process.returncode == -signal.SIGKILL, told
    return phase


def _last(folder, number):
    """Finish the load, and check that all is there once; return how many rows there are."""
    with opened(folder, model="classic") as archive:
        _repaired(archive, folder)
        archive.add(images(0, number))
        contents = {sources.content_id(jpeg(each)) for each in range(number)}
        rows, vectors, originals = state(archive)
        assert rows == {"pending": 0, "ready": number, "failed": 0, "deleting": 0}
        assert vectors == originals == contents
        assert archive.library().count() == len(list(archive.originals.contents())) == number
        assert archive.catalog.contents() == number
        assert not archive.repair().anything
        return rows["ready"]


def _repaired(archive, folder):
    """Repair, and check that nothing is half done and nothing that was acknowledged is lost."""
    archive.repair()
    there = _contents(archive)
    lost = _acknowledged(folder) - there
    assert not lost, f"{len(lost)} acknowledged images are lost"
    if not there:  # perhaps there is no collection yet
        return
    rows, vectors, originals = state(archive)
    assert rows == {"pending": 0, "ready": len(there), "failed": 0, "deleting": 0}, rows
    assert vectors == originals == there


def _contents(archive):
    found, after = set(), None
    while True:
        page = archive.entries("images", limit=1_000, after=after)
        found |= {entry.content for entry in page.entries}
        after = page.next
        if after is None:
            return found


def _acknowledged(folder):
    file, there = folder / "acknowledged", set()
    for line in file.read_text().splitlines() if file.exists() else ():
        sign, content = line[:1], line[1:]
        if len(content) == len(sources.content_id(b"")):  # a kill may cut a line off
            there.add(content) if sign == "+" else there.discard(content)
    return there


def _work(folder, number, life):
    """Repair, add and delete until somebody ends this process."""
    drawn = random.Random(life)  # noqa: S311
    told = (folder / "acknowledged").open("a", buffering=1)
    with opened(folder, model="classic") as archive:
        told.write("\n")  # so that a line that was cut off stays by itself
        print("open", flush=True)
        print("repairing", flush=True)
        _repaired(archive, folder)
        while True:
            print("adding", flush=True)
            for first in range(0, number, PIECE):
                added = archive.add(images(first, min(first + PIECE, number)))
                assert not added.failures, added.failures
                told.write("".join(f"+{entry.content}\n" for entry in added.entries))
            entries = archive.entries("images", limit=1_000).entries
            if drawn.random() < CREATED:
                told.write("".join(f"-{entry.content}\n" for entry in entries))
                print("dropping", flush=True)
                archive.drop("images", confirm="images")
                print("creating", flush=True)
                archive.add(images(0, 1))
                continue
            print("deleting", flush=True)
            going = drawn.sample(entries, max(1, len(entries) // PARTS))
            told.write("".join(f"-{entry.content}\n" for entry in going))
            archive.delete([entry.id for entry in going])


if __name__ == "__main__":
    _work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
