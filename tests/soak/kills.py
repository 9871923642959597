"""A load that is killed repeatedly and still completes.

A process adds drawn images to an archive, and dies by SIGKILL at a random moment; the next one
repairs the archive and continues. If the load is complete, a process deletes a part and adds it
again, or creates the collection again, so that every kill interrupts work. Acknowledged images
are recorded beside the archive. After its repair, each process checks that they are stored, and
that rows, vectors and originals agree.
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

from imgsearch.archive import CollectionOptions, opened
from imgsearch.images import sources
from tests.archive.place import images, jpeg, state

SECONDS = 3.0  # maximum time before a process is killed
PIECE = 200  # images of one `add`: several chunks, so that one is written while another is embedded
CREATED = 0.5  # share of complete loads after which the collection is dropped and created again
PARTS = 3  # one in so many images is deleted again


def main(kills=100, number=1_000, seed=4):
    print(f"kills: {number:,} drawn images, {kills} times SIGKILL at a random moment")
    moments, died, started = random.Random(seed), Counter(), perf_counter()  # noqa: S311
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for life in range(kills):
            died[_life(folder, number, life, moments.uniform(0, SECONDS))] += 1
        rows = _last(folder, number)
    phases = ", ".join(f"{phase} {count}" for phase, count in sorted(died.items()))
    print(f"  killed while: {phases}")
    print(f"  at the end {rows:,} rows, as many vectors and originals, no repeats")
    print(f"  {perf_counter() - started:.0f} s")
    return died


def _life(folder, number, life, seconds):
    """Let a process work for some seconds after it opened the archive; return its last phase."""
    words = [sys.executable, "-m", "tests.soak.kills", str(folder), str(number), str(life)]
    phase = "opening"
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                phase = line.decode().strip()
            errors = process.stderr.read().decode()
        finally:
            timer.cancel()
            process.kill()
    assert process.returncode == -signal.SIGKILL, errors
    return phase


def _last(folder, number):
    """Finish the load, and check that every image is stored once; return the number of rows."""
    with opened(folder, creation=CollectionOptions("classic")) as archive:
        _repaired(archive, folder)
        archive.add(images(0, number))
        contents = {sources.content_id(jpeg(image)) for image in range(number)}
        rows, vectors, originals = state(archive)
        assert rows == {"pending": 0, "ready": number, "failed": 0, "deleting": 0}
        assert vectors == originals == contents
        assert archive.library().count() == len(list(archive.originals.contents())) == number
        assert archive.catalog.contents() == number
        assert not archive.repair().anything
        return rows["ready"]


def _repaired(archive, folder):
    """Repair, and check that no write is partial and no acknowledged image is lost."""
    archive.repair()
    stored = _contents(archive)
    lost = _acknowledged(folder) - stored
    assert not lost, f"{len(lost)} acknowledged images are lost"
    if not stored:  # the collection may not exist yet
        return
    rows, vectors, originals = state(archive)
    assert rows == {"pending": 0, "ready": len(stored), "failed": 0, "deleting": 0}, rows
    assert vectors == originals == stored


def _contents(archive):
    contents, after = set(), None
    while True:
        page = archive.entries("images", limit=1_000, after=after)
        contents |= {entry.content for entry in page.entries}
        after = page.next
        if after is None:
            return contents


def _acknowledged(folder):
    file, contents = folder / "acknowledged", set()
    for line in file.read_text().splitlines() if file.exists() else ():
        sign, content = line[:1], line[1:]
        if len(content) == len(sources.content_id(b"")):  # a kill may truncate a line
            contents.add(content) if sign == "+" else contents.discard(content)
    return contents


def _work(folder, number, life):
    """Repair, add and delete until this process is killed."""
    drawn = random.Random(life)  # noqa: S311
    log = (folder / "acknowledged").open("a", buffering=1)
    with opened(folder, creation=CollectionOptions("classic")) as archive:
        log.write("\n")  # separates a truncated line
        print("open", flush=True)
        print("repairing", flush=True)
        _repaired(archive, folder)
        while True:
            print("adding", flush=True)
            for first in range(0, number, PIECE):
                added = archive.add(images(first, min(first + PIECE, number)))
                assert not added.report.failures, added.report.failures
                log.write("".join(f"+{entry.content}\n" for entry in added.entries))
            entries = archive.entries("images", limit=1_000).entries
            if drawn.random() < CREATED:
                log.write("".join(f"-{entry.content}\n" for entry in entries))
                print("dropping", flush=True)
                archive.drop("images", confirm="images")
                print("creating", flush=True)
                archive.add(images(0, 1))
                continue
            print("deleting", flush=True)
            going = drawn.sample(entries, max(1, len(entries) // PARTS))
            log.write("".join(f"-{entry.content}\n" for entry in going))
            archive.delete([entry.id for entry in going])


if __name__ == "__main__":
    _work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
