"""After a kill at any step of adding or deleting, `repair` makes the stores consistent."""

import random
import signal
import subprocess
import sys

import pytest

from imgsearch.images import sources
from tests.archive.place import archive, images, jpeg, state

# the chunks of an addition
FIRST, *PART = (sources.content_id(jpeg(number)) for number in range(3))
CONTENTS = {sources.content_id(jpeg(number)) for number in range(5)}


def killed(folder, what, step):
    done = subprocess.run(
        [sys.executable, "-m", "tests.archive.place", str(folder), what, step],
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def in_step(opened, contents):
    rows, vectors, originals = state(opened)
    assert rows == {"pending": 0, "ready": len(contents), "failed": 0, "deleting": 0}
    assert vectors == contents
    assert originals == contents


@pytest.mark.parametrize("step", ["original", "pending", "vector", "ready"])
def test_killed_addition_loses_and_leaves_nothing(tmp_path, step):
    with archive(tmp_path) as opened:
        opened.add(images(90, 91))  # creates the collection
    kept = {sources.content_id(jpeg(90)), FIRST}
    killed(tmp_path, "add", step)
    with archive(tmp_path) as opened:
        repaired = opened.repair()
        in_step(opened, kept if step == "original" else kept.union(PART))
        assert repaired.orphans == (2 if step == "original" else 0)
        assert repaired.completed == (2 if step in ("pending", "vector") else 0)
        assert not opened.repair().anything
        again = opened.add(images(0, 5))
        assert again.report.added == (4 if step == "original" else 2)
        in_step(opened, kept | CONTENTS)


@pytest.mark.parametrize("step", ["folder made", "collection made"])
def test_interrupted_creation_of_a_collection_is_completed(tmp_path, step):
    with archive(tmp_path) as opened:
        opened.add(images(90, 91), collection="other")
    killed(tmp_path, "create", step)
    with archive(tmp_path) as opened:
        assert opened.library("other").count() == 1
        opened.repair()
        opened.add(images(0, 5))
        rows, vectors, _ = state(opened)
        assert rows == {"pending": 0, "ready": 5, "failed": 0, "deleting": 0}
        assert vectors == CONTENTS


@pytest.mark.parametrize("step", ["deleting", "vector gone", "original gone", "forgotten"])
def test_killed_deletion_is_completed(tmp_path, step):
    with archive(tmp_path) as opened:
        opened.add(images(0, 5))
    killed(tmp_path, "delete", step)
    with archive(tmp_path) as opened:
        repaired = opened.repair()
        assert repaired.deleted == (0 if step == "forgotten" else 5)
        in_step(opened, set())
        opened.add(images(0, 5))
        in_step(opened, CONTENTS)


def test_load_completes_after_kills_at_random_moments(tmp_path):
    moments = random.Random(4)  # noqa: S311  # when to kill
    every = {sources.content_id(jpeg(number)) for number in range(5)}
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.archive.place", str(tmp_path), "add", "never"],
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(moments.uniform(0.5, 2.5))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
    with archive(tmp_path) as opened:
        opened.repair()
        opened.add(images(0, 5))
        in_step(opened, every)
