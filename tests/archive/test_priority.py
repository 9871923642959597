"""Background additions yield to searches and still make progress."""

import os
import sys
import threading
import time

import pytest

from imgsearch.archive import Jobs
from imgsearch.archive import priority as module
from imgsearch.archive.priority import Traffic, lower_priority
from imgsearch.query import SearchOptions
from tests.archive.place import archive, images, jpeg
from tests.pictures import write


def never():
    return False


def test_additions_do_not_wait_without_searches():
    traffic = Traffic()
    assert not traffic.busy
    traffic.give_way(3_600, never)  # returns at once


def test_additions_pause_three_times_their_working_time_during_a_search():
    traffic = Traffic()
    with traffic.search():
        assert traffic.busy
        began = time.monotonic()
        traffic.give_way(0.05, never)
        assert time.monotonic() - began >= 0.05 * (1 / module.SHARE - 1)
    assert traffic.busy  # another search may follow


def test_finished_search_stops_counting_after_a_moment(monkeypatch):
    traffic = Traffic()
    monkeypatch.setattr(module, "_LATELY", 0.0)
    with traffic.search(), traffic.search():
        pass
    assert not traffic.busy
    traffic.give_way(3_600, never)


def test_waiting_addition_can_be_canceled():
    traffic, calls = Traffic(), []

    def canceled():
        calls.append(True)
        return len(calls) > 2

    with traffic.search():
        traffic.give_way(3_600, canceled)
    assert len(calls) == 3


def test_job_completes_during_endless_searches(tmp_path):
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
        assert 16 in moves  # in small batches, so that searches do not wait long for a core


def test_rows_are_indexed_early_during_searches(tmp_path, monkeypatch, index_of_32):
    """The embedded store compares unindexed rows one by one, in Python."""
    monkeypatch.setattr(module, "SHARE", 1.0)
    reports = []
    with archive(tmp_path) as opened, opened.traffic.search():
        added = opened.add(images(0, 40), background=True, on_progress=reports.append)
        assert added.report.indexed == 40
        assert 32 in [now.indexed for now in reports]
        assert opened.search(jpeg(7), SearchOptions(k=1))[0].entry.name == "bild ü 7.jpg"
    reports.clear()
    with archive(tmp_path) as opened:
        opened.add(images(40, 80), background=True, on_progress=reports.append)
        assert {now.indexed for now in reports} == {0, 40}  # at the end


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness on Linux only")
def test_background_threads_have_a_lower_priority():
    def nice():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    niceness, before = [], nice()

    def work():
        lower_priority()
        inner = threading.Thread(target=lambda: niceness.append(nice()))
        inner.start()
        inner.join()
        niceness.append(nice())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert niceness == [min(19, max(before, 10))] * 2
    assert nice() == before
