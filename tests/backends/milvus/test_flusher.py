"""Inserted rows are flushed at the end of a run, or later in a thread."""

import logging
import subprocess
import sys
import threading

import pytest

from imgsearch.backends.milvus import flusher
from imgsearch.backends.milvus.flusher import Flusher
from imgsearch.errors import BackendUnavailable


class Flushes:
    """Counts flushes. The first `failing` ones fail."""

    def __init__(self, failing=0):
        self.number, self.failing, self.done = 0, failing, threading.Event()

    def __call__(self):
        self.number += 1
        self.done.set()
        if self.number <= self.failing:
            raise BackendUnavailable("keine Antwort")


def run(flusher, *rows):
    for number in rows:
        flusher.add(number)
    flusher.end_run()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "imgsearch-flush"]


@pytest.mark.parametrize("rows", [(1,), (300,), (1, 1)])
def test_first_run_ends_with_a_flush(rows):
    flushes = Flushes()
    run(Flusher(flushes), *rows)
    assert (flushes.number, threads()) == (1, [])


def test_run_of_several_rows_ends_with_one_flush():
    flushes = Flushes()
    flusher = Flusher(flushes)
    run(flusher, 1)
    run(flusher, 1, 1, 1)
    assert (flushes.number, threads()) == (2, [])


def test_runs_without_rows_flush_nothing():
    flushes = Flushes()
    flusher = Flusher(flushes)
    run(flusher)
    run(flusher, 5)
    run(flusher)
    assert (flushes.number, threads()) == (1, [])


def test_later_runs_of_one_row_share_a_flush_in_a_thread(monkeypatch):
    monkeypatch.setattr(flusher, "_IDLE", 0.3)
    flushes = Flushes()
    rows = Flusher(flushes)
    run(rows, 1)
    flushes.done.clear()
    for _ in range(5):
        run(rows, 1)
    (thread,) = threads()
    assert flushes.number == 1
    assert flushes.done.wait(60)
    thread.join(60)
    assert (flushes.number, threads()) == (2, [])
    run(rows, 1)
    (thread,) = threads()
    thread.join(60)
    assert flushes.number == 3


def test_explicit_flush_leaves_nothing_for_the_thread(monkeypatch):
    monkeypatch.setattr(flusher, "_IDLE", 0.3)
    flushes = Flushes()
    rows = Flusher(flushes)
    run(rows, 1)
    run(rows, 1)
    (thread,) = threads()
    rows.flush()
    rows.flush()
    thread.join(60)
    assert flushes.number == 2


def test_failed_flush_of_a_run_is_logged(caplog):
    flushes = Flushes(failing=1)
    with caplog.at_level(logging.WARNING):
        run(Flusher(flushes), 2)
    assert [record.getMessage() for record in caplog.records] == [
        "inserted rows are stored, but not counted yet: keine Antwort"
    ]


def test_failed_explicit_flush_raises_and_can_be_repeated():
    flushes = Flushes(failing=1)
    rows = Flusher(flushes)
    rows.add(1)
    with pytest.raises(BackendUnavailable):
        rows.flush()
    rows.flush()
    rows.flush()
    assert flushes.number == 2


def test_end_of_the_program_flushes_at_once():
    code = """
from imgsearch.backends.milvus.flusher import Flusher
flusher = Flusher(lambda: print("flush"))
for _ in range(3):
    flusher.add(1)
    flusher.end_run()
print("end")
"""
    # the idle time is 10 s, and a start of Python takes less than 1 s
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["flush", "end", "flush"]
