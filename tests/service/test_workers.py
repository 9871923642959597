"""Hanging work does not block others permanently and does not prevent the shutdown."""

import asyncio
import threading

import pytest

from imgsearch.service.problems import HttpProblem
from imgsearch.service.workers import Turns, Workers

LATE = 0.01  # seconds


@pytest.fixture
def release():
    event = threading.Event()
    yield event
    event.set()


def test_workers_continue_after_hanging_work(release):
    workers = Workers("test", threads=2, waiting=4, late=LATE)

    async def run():
        hanging = [asyncio.create_task(workers.run(release.wait)) for _ in range(2)]
        answers = await asyncio.gather(*(workers.run(lambda n=n: n) for n in range(3)))
        while workers.late < 2:
            await asyncio.wait(hanging, timeout=LATE)
        assert workers.running == 2
        assert workers.waiting == 0
        release.set()
        assert await asyncio.gather(*hanging) == [True, True]
        return answers

    assert asyncio.run(run()) == [0, 1, 2]
    assert workers.running == workers.late == 0
    workers.close()


def test_number_of_replaced_threads_is_bounded(release):
    workers = Workers("test", threads=1, waiting=0, late=LATE, replaced=2)

    async def run():
        for number in range(3):  # the first thread, and two replacements for late ones
            task = asyncio.create_task(workers.run(release.wait))
            await asyncio.wait([task], timeout=LATE)
            while workers.late < min(2, number + 1):
                await asyncio.wait([task], timeout=LATE)
        with pytest.raises(HttpProblem) as caught:
            await workers.run(release.wait)
        release.set()
        return caught.value.code

    assert asyncio.run(run()) == "busy"
    workers.close()


def test_close_does_not_wait_for_hanging_work(release):
    workers = Workers("test", threads=1, waiting=1)

    async def run():
        started = threading.Event()
        hanging = asyncio.create_task(workers.run(lambda: started.set() or release.wait()))
        waiting = asyncio.create_task(workers.run(release.wait))
        while not started.is_set():
            await asyncio.sleep(0)
        workers.close(seconds=0)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(HttpProblem, match="stopping"):
            await workers.run(release.wait)
        hanging.cancel()

    asyncio.run(run())


def test_turn_that_is_never_returned_expires(release):
    turns = Turns(1, late=LATE)
    started = threading.Event()

    def hang():
        with turns:
            started.set()
            release.wait()

    thread = threading.Thread(target=hang)
    thread.start()
    assert started.wait(10)
    with turns:  # waits until the other turn is late
        assert turns.late >= 1
    release.set()
    thread.join()
    assert turns.late == 0
