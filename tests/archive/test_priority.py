"""Additions in the background give way to searches, and go on whatever comes."""

import os
import sys
import threading
import time

import pytest

from imgsearch.archive import Jobs
from imgsearch.archive import priority as module
from imgsearch.archive.priority import Traffic, behind
from tests.archive.place import archive, images, jpeg
from tests.pictures import write


def never():
    return False


def test_nobody_waits_where_nobody_searches():
    traffic = Traffic()
    assert not traffic.busy
    traffic.give_way(3_600, never)  # returns at once


def test_a_search_has_the_cores_for_three_times_as_long_as_was_worked():
    traffic = Traffic()
    with traffic.search():
        assert traffic.busy
        began = time.monotonic()
        traffic.give_way(0.05, never)
        assert time.monotonic() - began >= 0.05 * (1 / module.SHARE - 1)
    assert traffic.busy  # another one may follow


def test_a_search_that_ended_is_forgotten_after_a_moment(monkeypatch):
    traffic = Traffic()
    monkeypatch.setattr(module, "_LATELY", 0.0)
    with traffic.search(), traffic.search():
        pass
    assert not traffic.busy
    traffic.give_way(3_600, never)


def test_who_waits_is_cancelled():
    traffic, asked = Traffic(), []

    def cancelled():
        asked.append(True)
        return len(asked) > 2

    with traffic.search():
        traffic.give_way(3_600, cancelled)
    assert len(asked) == 3


def test_a_job_ends_while_searches_never_do(tmp_path):
    write(tmp_path / "bilder", 40)
    with archive(tmp_path, roots=(tmp_path,)) as opened, opened.traffic.search():
        jobs = Jobs(opened)
        try:
            job = jobs.start_folder(str(tmp_path / "bilder"))
            states = list(jobs.watch(job.id))
        finally:
            jobs.close()
        assert (states[-1].state, states[-1].inserted, states[-1].indexed) == ("done", 40, 40)
        moves = [state.inserted for state in states]
        assert 16 in moves  # a few at a time, so that nobody waits long for a core


def test_while_searches_come_rows_are_indexed_as_they_do(tmp_path, monkeypatch):
    """The embedded store compares the others one by one, in Python."""
    monkeypatch.setattr(module, "SHARE", 1.0)
    told = []
    with archive(tmp_path) as opened, opened.traffic.search():
        added = opened.add(images(0, 300), background=True, on_stages=told.append)
        assert added.stages.indexed == 300
        assert 256 in [stages.indexed for stages in told]
        assert opened.search(jpeg(7), k=1)[0].entry.name == "bild ü 7.jpg"
    told.clear()
    with archive(tmp_path) as opened:
        opened.add(images(300, 600), background=True, on_stages=told.append)
        assert {stages.indexed for stages in told} == {0, 300}  # at the end


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness on Linux only")
def test_its_threads_run_behind_the_others():
    def nice():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    found, before = [], nice()

    def work():
        behind()
        inner = threading.Thread(target=lambda: found.append(nice()))
        inner.start()
        inner.join()
        found.append(nice())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [min(19, max(before, 10))] * 2
    assert nice() == before
