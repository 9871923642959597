"""A migration is killed at any moment, and ends right when it is run again.

Each run is a process of its own.
"""

import contextlib
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import imgsearch
from imgsearch.backends import connect, notes, versions
from tests.pictures import write

IMAGES = 40
SCRIPT = textwrap.dedent("""
    import os, signal, sys
    import imgsearch
    from imgsearch.backends import notes
    from imgsearch.backends.collection import Collection

    url, model, point = sys.argv[1], sys.argv[2], int(sys.argv[3])
    write, passed = Collection.upsert, 0

    def upsert(self, records, **options):
        global passed
        for moment in ("before", "after"):
            passed += 1
            if passed == point:
                print(moment, self.name, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            if moment == "before":
                write(self, records, **options)

    Collection.upsert = upsert
    with imgsearch.open(url) as library:
        print("open", flush=True)
        report = library.migrate(model, switch=True)
        print(report.switched, flush=True)
        print(library.migration().drop_former(), flush=True)
""")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bilder")
    write(folder / "größe", IMAGES)
    return folder


@pytest.fixture(scope="module")
def expected(pictures):
    """Return the records of a library that was created with the new model."""
    with imgsearch.open("memory://expected-migration", model="lite") as library:
        library.add(pictures)
        return {record.id: record for record in library.collection.iterate()}


@pytest.fixture
def url(tmp_path, pictures):
    url = str(tmp_path / "x.db")
    with imgsearch.open(url, model="classic") as library:
        library.add(pictures)
    return url


def command(url, model="lite", point=0):
    """Return the command of a migration that dies at this write, from 1."""
    return [sys.executable, "-c", SCRIPT, url, model, str(point)]


def check_between(url, images=IMAGES):
    """Check that after a kill every image is found, by one model or the other."""
    with imgsearch.open(url) as library:
        assert library.model in ("classic", "lite")
        assert library.count() == images
        for record in list(library.collection.iterate(vectors=False))[:3]:
            assert library.search(record.fields["path"], k=1)[0].id == record.id
    with connect(url) as store:
        assert versions.collections(store) == ["images"]


def check_end(url, expected):
    """Let a migration end; check that all images have new vectors, and that nothing is left."""
    done = subprocess.run(command(url), capture_output=True, text=True, timeout=120)
    assert done.stdout.split()[:2] == ["open", "True"], done.stderr
    with imgsearch.open(url) as library:
        assert library.model == "lite"
        after = {record.id: record for record in library.collection.iterate()}
        ids = [record.id for record in library.collection.iterate(vectors=False)]
        current = library.version
    assert (len(ids), after.keys()) == (len(expected), expected.keys())
    for id_, record in expected.items():
        assert dict(after[id_].fields) == dict(record.fields)
        assert after[id_].vector == pytest.approx(record.vector, abs=1e-5)
    with connect(url) as store:
        assert store.names() == sorted([current, notes.NAME])
        assert store.open("images").count() == len(expected)  # an alias now


def kill(url, points, images=IMAGES):
    """Kill a new run at each of these writes, until one ends; return the number of kills."""
    for kills, point in enumerate(points):
        done = subprocess.run(
            command(url, point=point), capture_output=True, text=True, timeout=120
        )
        if not done.returncode:  # fewer writes were left
            return kills
        assert done.returncode == -signal.SIGKILL, done.stderr
        check_between(url, images)
    return len(points)


def test_migration_killed_at_chosen_writes_ends_right(url, expected):
    """The writes are the record of the new collection, the first images and later ones."""
    assert kill(url, [1, 2, 4, 9]) == 4
    check_end(url, expected)


def test_migration_killed_around_the_switch_ends_right(url, expected):
    """The writes are the switch and the record that late writes were carried over."""
    with imgsearch.open(url) as library:
        library.migrate("lite")
    assert kill(url, [1, 2, 1, 2]) == 4
    check_end(url, expected)


@pytest.mark.nightly
def test_migration_killed_before_and_after_every_write_ends_right(url, expected, pictures):
    """Each run begins with a part of one image, so two kills move it on by one write."""
    few = sorted(expected, key=lambda id_: expected[id_].fields["path"])[:8]
    with imgsearch.open(url) as library:
        library.remove(*(id_ for id_ in expected if id_ not in few))
    assert kill(url, [1, 2] * 20, images=8) >= 20
    check_end(url, {id_: expected[id_] for id_ in few})


@pytest.mark.nightly
def test_migration_killed_at_20_random_moments_ends_right(url, expected):
    """A run that ends before it is killed is followed by a migration back."""
    random, models, kills = np.random.default_rng(11), ["lite", "classic"], 0
    while kills < 20:
        words = command(url, models[0])
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "open\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=random.uniform(0, 1.2))
            process.kill()
        if process.returncode:
            assert process.returncode == -signal.SIGKILL
            kills += 1
        else:
            models.reverse()
        check_between(url)
    check_end(url, expected)
