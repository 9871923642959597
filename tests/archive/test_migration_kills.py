"""A service is killed while a job changes its model; the job goes on at the next start."""

import signal
import subprocess
import sys
import textwrap

import pytest

from imgsearch.backends import connect, notes, versions
from tests.archive.place import archive, images, jpeg

IMAGES = 8
SCRIPT = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from imgsearch.archive import Jobs, MigrationRequest
    from imgsearch.backends.collection import Collection
    from tests.archive.place import archive

    folder, point = Path(sys.argv[1]), int(sys.argv[2])
    write, passed = Collection.upsert, 0

    def upsert(self, records, **options):
        global passed
        for moment in ("before", "after"):
            passed += 1
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)
            if moment == "before":
                write(self, records, **options)

    Collection.upsert = upsert
    with archive(folder) as opened:
        jobs = Jobs(opened)  # resumes a job that was running
        job = next(iter(jobs.recent().jobs), None)
        if job is None:
            request = MigrationRequest("lite", switch=True, drop_former=True)
            job = jobs.start_migration("images", request)
        last = list(jobs.watch(job.id))[-1]
        print(last.state, last.failed, last.error)
        jobs.close()
""")


def run(folder, point):
    words = [sys.executable, "-c", SCRIPT, str(folder), str(point)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def check_kills(folder, points):
    """Kill a new process at each of these writes, then let one end; return the number of kills."""
    with archive(folder) as opened:
        opened.add(images(0, IMAGES))
    kills = 0
    for point in points:
        done = run(folder, point)
        if not done.returncode:  # fewer writes were left
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        with archive(folder) as opened:
            assert opened.search(jpeg(3))[0].entry.name == "bild ü 3.jpg"
            assert opened.count().vectors == IMAGES
    done = run(folder, 0)
    assert done.stdout == "done 0 \n", done.stderr
    with archive(folder) as opened:
        assert opened.library().model == "lite"
        assert (opened.count().images, opened.count().vectors) == (IMAGES, IMAGES)
        assert opened.search(jpeg(3))[0].entry.name == "bild ü 3.jpg"
        assert not opened.repair().anything
    with connect(str(folder / "vectors.db")) as store:
        assert versions.collections(store) == ["images"]
        assert store.names() == ["images_v2", notes.NAME]
    return kills


def test_job_killed_at_chosen_writes_ends_right(tmp_path):
    assert check_kills(tmp_path, [2, 5, 3]) == 3


@pytest.mark.nightly
def test_job_killed_before_and_after_every_write_ends_right(tmp_path):
    assert check_kills(tmp_path, [1, 2] * 20) >= 20
