"""Pipelines cannot hang, build operators once, and extend with Towhee's own steps."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from imgsearch.errors import ConfigError, OperatorNotFound
from imgsearch.towhee import Pipeline, op, operator_folders, operator_names
from imgsearch.towhee.imports import towhee
from tests.towhee import toys


def long_chain(nodes):
    chain = Pipeline.input("n").flat_map("n", "c0", range)
    for place in range(nodes):
        chain = chain.map(f"c{place}", f"c{place + 1}", toys.op("toy_echo"))
    return chain.output(f"c{nodes}")


@pytest.mark.long
def test_more_rows_than_towhees_queues_hold_do_not_hang():
    assert long_chain(12)(5_000).size == 5_000  # a queue of Towhee holds 1,000


def test_more_nodes_than_towhee_has_threads_do_not_hang():
    assert long_chain(40)(1_200).size == 1_200


@pytest.mark.long
def test_many_callers_of_a_long_chain_do_not_hang():
    """8 callers of 12 nodes need more threads than available; every queue overflows."""
    chain = long_chain(12)
    with ThreadPoolExecutor(8) as callers:
        assert [queue.size for queue in callers.map(chain, [1_200] * 8)] == [1_200] * 8


def test_batch_of_inputs_does_not_hang_and_keeps_its_order():
    results = long_chain(10).batch([1_100, 3, 1_200])
    assert [queue.size for queue in results] == [1_100, 3, 1_200]


def test_one_instance_serves_every_concurrent_row():
    toys.BUILT.clear()
    closed = toys.pipeline("toy_echo").output("out")
    closed.batch(list(range(50)))
    assert toys.BUILT["ToyEcho"] == 1


def test_pipeline_builds_its_operators_once():
    toys.BUILT.clear()
    chain = toys.pipeline("toy_echo").returning("out")
    with ThreadPoolExecutor(4) as callers:
        list(callers.map(chain, range(20)))
    assert toys.BUILT["ToyEcho"] == 1


def test_queues_between_steps_are_short():
    """Decoded images wait in queues: 1,000 of them, Towhee's bound, would be gigabytes."""
    produced, full = [], threading.Event()

    def produce(number):
        for row in range(number):
            produced.append(row)
            if row == 60:  # not reached while the next step waits
                full.set()
            yield row

    def wait(row):
        return full.wait(1) if row == 0 else True

    chain = Pipeline.input("n").flat_map("n", "row", produce).map("row", "was_full", wait)
    queue = chain.output("was_full")(200)
    assert queue.size == 200
    assert queue.get() == [False]


def test_batches_reach_the_operator_as_batches():
    toys.ToyBatch.calls.clear()
    chain = (
        Pipeline.input("rows")
        .flat_map("rows", "row", iter)
        .window("row", "outs", 8, 8, toys.op("toy_batch"))
        .flat_map("outs", "out", iter)
        .returning("out")
    )
    assert [row["out"] for row in chain([1] * 20)] == [10] * 20
    assert toys.ToyBatch.calls == [8, 8, 4]


def test_batch_operator_accepts_a_single_value_in_a_map():
    chain = toys.pipeline("toy_batch").returning("out")
    assert chain(7)[0]["out"] == 70


def test_towhees_own_steps_display_and_debug_work():
    chain = toys.pipeline("toy_echo").map("out", "twice", lambda out: 2 * out)
    closed = chain.output("row", "twice")
    assert closed(3).get() == [3, 6]
    assert len(towhee.datacollection.DataCollection(closed(4))) == 1
    assert closed.debug(5, tracer=True).result.get() == [5, 10]


def test_pipeline_without_columns_raises_with_advice():
    with pytest.raises(ConfigError, match=r"\.output\("):
        toys.pipeline("toy_echo")(1)


def test_closed_pipeline_is_rebuilt_on_the_next_call():
    chain = toys.pipeline("toy_echo").returning("out")
    assert chain(1) == [{"out": 1, "error": None}]
    chain.close()
    chain.close()
    assert chain(2) == [{"out": 2, "error": None}]


def test_unknown_operator_error_suggests_names_without_a_lookup():
    with pytest.raises(OperatorNotFound, match="image_decode"):
        op("image_decoed")


def test_every_operator_folder_is_known_and_documented():
    names = operator_names()
    assert {"image_load", "image_decode", "image_embedding", "normalize"} <= set(names)
    for name in names:
        folder = operator_folders() / name
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {name}\n")
        assert "| in |" in text
        assert not (folder / "requirements.txt").exists()  # Towhee would run pip for it


@pytest.mark.parametrize("pipe", [Pipeline, towhee.pipe])
def test_operator_learns_when_a_run_ends(pipe):
    ends = toys.ToyRuns.ends = []
    steps = pipe.input("n").flat_map("n", "x", range).map("x", "y", toys.op("toy_runs"))
    closed = steps.output("y")
    assert closed(50).size == 50
    assert ends == ["run"]
    assert [queue.size for queue in closed.batch([3, 4, 5])] == [3, 4, 5]
    assert ends == ["run"] * 2
    assert toys.op("toy_runs")(7) == 7  # a direct call is a run, too
    assert ends == ["run"] * 3
    closed.flush()
    assert ends[3:] == ["flush"]


def test_pipeline_closed_during_calls_is_built_again():
    pipeline = toys.pipeline("toy_echo").returning("out")
    rows = []

    def call():
        rows.extend(pipeline(1) for _ in range(100))

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        pipeline.close()
    assert [row["out"] for (row,) in rows] == [1] * 300
    pipeline.close()


def test_close_does_not_wait_for_a_step_that_hangs(monkeypatch):
    monkeypatch.setattr("imgsearch.towhee.pipeline._PATIENCE", 0.05)
    started, released = threading.Event(), threading.Event()

    def hang(value):
        started.set()
        released.wait()
        return value

    pipeline = Pipeline.input("x").map("x", "y", hang).returning("y")
    thread = threading.Thread(target=pipeline, args=(1,))
    thread.start()
    started.wait()
    pipeline.close()
    assert thread.is_alive()
    released.set()
    thread.join()


def test_threads_of_a_batch_do_not_keep_the_process_alive():
    def lasting(_=None):
        return {thread for thread in threading.enumerate() if not thread.daemon}

    before = lasting()
    closed = Pipeline.input("x").map("x", "y", lasting).output("y")
    assert all(queue.get()[0] <= before for queue in closed.batch([1, 2, 3]))
