"""Concurrent writers leave the state of one writer; a killed writer leaves no partial write."""

import signal
import threading

import pytest

from imgsearch.errors import CatalogError, ImageBusy
from tests.catalog.places import content, entry, removed

ROUNDS = 12
# adds and deletes its own references to shared contents; prints how often its reference was the
# last, when no other reference may exist until it is forgotten
WRITER = f"""
import time
from imgsearch.errors import ImageBusy
name = sys.stdin.readline().strip()
vectors = 0
for n in range({ROUNDS}):
    mine = [entry(k, id=f"{{name}}-{{k}}", content=content(k), stored=True) for k in (2, 1, 3)]
    ends = time.monotonic() + 30  # in case the other process died
    while time.monotonic() < ends:
        try:
            catalog.begin(mine if name > "b" else mine[::-1])
            break
        except ImageBusy:
            pass
    else:
        sys.exit("the content stayed busy")
    ids = [reference.id for reference in mine]
    catalog.ready(ids)
    for deletion in catalog.mark_deleting(ids):
        if deletion.last_anywhere:
            others = catalog.page(content=deletion.entry.content, limit=1000).entries
            assert all(other.state == "deleting" for other in others), others
            vectors += 1
    catalog.forget(ids)
print(vectors)
"""


@pytest.mark.long
def test_two_processes_with_the_same_contents_stay_consistent(catalog, place):
    writers = [place.run(WRITER) for _ in "ab"]
    for name, writer in zip("ac", writers, strict=True):
        writer.stdin.write(f"{name}\n")
        writer.stdin.flush()
    outputs = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    # every content was released at least once, and at most with every deletion
    assert 3 <= sum(map(int, outputs)) <= 2 * 3 * ROUNDS
    assert catalog.count() == 0
    assert catalog._database.read(anchored) == []


def anchored(connection):
    return connection.exec_driver_sql("SELECT content FROM contents").all()


def test_threads_that_add_the_same_entry_create_one(place):
    with place.open() as catalog:
        failures = []

        def write(own):
            try:
                for n in range(10):
                    shared = [entry(k, content=content(k % 3)) for k in range(6)]
                    catalog.begin([*(shared if own % 2 else shared[::-1]), entry(100 * own + n)])
                    catalog.ready([f"id-{k:05}" for k in range(6)])
            except CatalogError as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(own,)) for own in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert catalog.count() == 6 + 4 * 10
        assert catalog.contents() == 3 + 4 * 10


def test_reference_added_before_a_deletion_keeps_the_vector(catalog):
    catalog.begin([entry(1, content=content(7))])
    catalog.begin([entry(2, content=content(7))])
    [deletion] = catalog.mark_deleting(["id-00001"])
    assert not deletion.last_in_collection
    with pytest.raises(ImageBusy):
        catalog.begin([entry(3, content=content(7))])
    catalog.forget(["id-00001"])
    catalog.begin([entry(3, content=content(7))])
    removed(catalog, "id-00002", "id-00003")
    assert catalog.count() == 0


def test_killed_writer_has_written_nothing(catalog, place):
    catalog.begin([entry(900), entry(901), entry(902)])
    catalog.mark_deleting(["id-00902"])
    before = catalog.page()
    writer = place.run(
        "from imgsearch.catalog import entries\n"
        "def work(connection):\n"
        "    entries.begin(connection, [entry(n) for n in range(300)])\n"
        "    entries.ready(connection, ['id-00900', 'id-00001'], {})\n"
        "    entries.mark_deleting(connection, ['id-00901', 'id-00002'])\n"
        "    entries.forget(connection, ['id-00902', 'id-00002'])\n"
        "    print('written', flush=True)\n"
        "    sys.stdin.read()\n"
        "catalog._database.write(work)\n"
    )
    assert writer.stdout.readline() == "written\n"
    assert catalog.page() == before
    writer.kill()
    writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    assert catalog.page() == before
    # its locks are released, and its entry can be added
    assert len(catalog.begin([entry(n) for n in range(300)])) == 300
    catalog.ready(["id-00900", "id-00901"])
    removed(catalog, "id-00900", "id-00902")
    assert catalog.count() == 301
