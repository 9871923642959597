"""The garbage collector pauses while a command imports modules."""

import gc
import weakref

import pytest

from imgsearch.cli import garbage


class Node:
    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def enabled_after():
    yield
    gc.enable()


def test_collector_runs_again_after_the_pause():
    with garbage.paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collector_runs_again_after_an_error():
    with pytest.raises(ZeroDivisionError), garbage.paused():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_collector_that_was_disabled_stays_so():
    gc.disable()
    with garbage.paused():
        pass
    assert not gc.isenabled()


def test_later_garbage_is_collected():
    with garbage.paused():
        pass
    node = Node()
    alive = weakref.ref(node)
    del node
    gc.collect()
    assert alive() is None


def test_objects_of_the_pause_are_left_out_of_collections():
    before = gc.get_freeze_count()
    with garbage.paused():
        nodes = [Node() for _ in range(1_000)]
    assert gc.get_freeze_count() >= before + len(nodes)
