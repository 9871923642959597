"""Logs of texts about collections, in every store."""

from contextlib import suppress

import pytest

from imgsearch.backends import connect, notes
from imgsearch.backends.note_log import MAX_PART, Head, NoteLog
from imgsearch.errors import CollectionNotFound


@pytest.fixture
def noted(bench):
    """Return a bench whose notes are removed after the test."""
    with suppress(CollectionNotFound):
        bench.store.drop(notes.NAME)  # of another test on the same server
    yield bench
    with suppress(CollectionNotFound):
        bench.store.drop(notes.NAME)


def part_ids(store):
    return sorted(row.id for row in store.open(notes.NAME).iterate(vectors=False))


def test_log_is_appended_to_and_replaced(noted):
    collection = noted.collection()
    log = NoteLog(noted.store, collection, "files")
    assert log.head() is None
    assert notes.NAME not in noted.store.names()  # reading creates nothing
    head = log.append(Head(), ["a" * MAX_PART, "größe"], {"rows": 2})
    head = log.append(head, ["c"], {"rows": 3})
    noted.reopen()
    if not noted.store.capabilities.persistent:
        return
    log = NoteLog(noted.store, noted.store.open(collection.name), "files")
    assert log.head() == head
    assert head == Head(0, 3, {"rows": 3})
    assert log.parts(head) == ["a" * MAX_PART, "größe", "c"]
    head = log.replace(["d"], {"rows": 4})
    assert log.parts(head) == ["d"]
    assert len(part_ids(noted.store)) == 2  # the head and one part


def test_log_of_another_encoder_is_ignored(noted):
    collection = noted.collection()
    NoteLog(noted.store, collection, "files").append(Head(), ["a"], {})
    other = noted.collection(metric="l2")
    other.name = collection.name
    assert NoteLog(noted.store, other, "files").head() is None


def test_log_without_one_of_its_parts_has_none(noted):
    collection = noted.collection()
    log = NoteLog(noted.store, collection, "files")
    head = log.append(Head(), ["a", "b"], {})
    noted.store.open(notes.NAME).delete([f"{collection.name}/files/1"])
    assert log.parts(head) is None


def test_log_has_no_parts_after_another_program_dropped_the_notes(noted):
    log = NoteLog(noted.store, noted.collection(), "files")
    head = log.append(Head(), ["a"], {})
    with connect(noted.url, token=noted.token) as other:
        other.drop(notes.NAME)
    assert log.parts(head) is None
