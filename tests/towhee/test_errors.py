"""Towhee turns every error into text; the adapter returns the error itself."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from imgsearch import towhee
from imgsearch.errors import DimensionMismatch, ImageCorrupt, ImgSearchError, SourceError
from imgsearch.towhee import errors
from imgsearch.towhee.imports import RuntimePipeline
from imgsearch.types import FailedRow
from tests.towhee import toys


def test_towhee_itself_erases_the_error():
    plain = RuntimePipeline(toys.pipeline("toy_fail").output("out").dag_repr)
    with pytest.raises(RuntimeError) as caught:
        plain("猫")
    assert type(caught.value) is RuntimeError
    assert caught.value.__cause__ is None


def test_error_of_a_run_is_raised_with_type_and_attributes():
    with pytest.raises(ImageCorrupt, match="猫 is broken") as caught:
        toys.pipeline("toy_fail").output("out")("猫")
    assert (caught.value.path, caught.value.stage) == ("猫", "decode")
    assert not hasattr(caught.value, "__notes__")


def test_error_of_building_is_raised_with_its_type():
    with pytest.raises(DimensionMismatch) as caught:
        toys.pipeline("toy_unbuildable").output("out")
    assert (caught.value.expected, caught.value.got) == (2, 3)


def test_foreign_error_keeps_its_type():
    with pytest.raises(ZeroDivisionError):
        toys.pipeline("toy_bug").output("out")(1)


def test_cause_of_an_error_is_kept_without_frames():
    with pytest.raises(SourceError) as caught:
        toys.pipeline("toy_caused").output("out")(1)
    assert repr(caught.value.__cause__) == "OSError('the disk is full')"
    assert caught.value.__cause__.__traceback__ is None


def test_bug_in_an_operator_shows_where_it_is():
    with pytest.raises(ZeroDivisionError) as caught:
        toys.pipeline("toy_bug").output("out")(1)
    assert "return 1 / 0" in str(caught.value.__cause__)


class Uncopyable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def test_exception_that_cannot_be_copied_is_raised_itself():
    with pytest.raises(Uncopyable, match="a b"), errors.keep_error():
        raise Uncopyable("a", "b")


def test_error_of_a_user_function_is_towhees_error():
    closed = towhee.Pipeline.input("x").map("x", "y", lambda x: 1 / x).output("y")
    with pytest.raises(RuntimeError, match="division by zero"):
        closed(0)


@pytest.mark.long
def test_errors_of_4_threads_reach_their_own_callers():
    closed = toys.pipeline("toy_fail").output("out")

    def fail(number):
        try:
            closed(f"row {number}")
        except ImageCorrupt as error:
            return error.path
        return "no error"

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(fail, range(1200))) == [f"row {n}" for n in range(1200)]


def test_store_of_kept_errors_is_bounded():
    for number in range(1500):
        with pytest.raises(SourceError), errors.keep_error():
            raise SourceError(f"{number}")
    assert len(errors._KEPT) <= 1000


def test_kept_errors_hold_no_frames():
    with pytest.raises(ImgSearchError), errors.keep_error():
        raise ImgSearchError("größe")
    assert "größe" in map(str, errors._KEPT.values())
    assert all(error.__traceback__ is None for error in errors._KEPT.values())


def test_error_becomes_a_value_on_request():
    run = toys.pipeline("toy_fail", on_error="keep").output("row", "out")
    row, failure = run("猫").get()
    assert row == "猫"
    assert isinstance(failure, FailedRow)
    assert isinstance(failure.error, ImageCorrupt)
    assert failure.error.__traceback__ is None


def test_later_steps_pass_a_failure_on():
    seen = []
    chain = (
        toys.pipeline("toy_fail", on_error="keep")
        .map("out", "more", toys.op("toy_echo"))
        .map("more", ("a", "b"), lambda more: (seen.append(more), more))
        .returning("row", "a", "b")
    )
    (row,) = chain.stream(["猫"])
    assert (row["row"], row["a"], row["b"]) == ("猫", None, None)
    assert isinstance(row["error"], ImageCorrupt)
    assert seen == []


def test_calling_a_pipeline_raises_the_first_failure_and_streaming_yields_it():
    chain = toys.pipeline("toy_odd", on_error="keep").returning("row", "out")
    assert [row["error"] is None for row in chain.stream([2, 3, 4])] == [True, False, True]
    with pytest.raises(ImageCorrupt, match="3"):
        chain(3)
    assert chain(4) == [{"row": 4, "out": 4, "error": None}]


def test_bad_row_of_a_batch_fails_alone():
    chain = (
        towhee.Pipeline.input("rows")
        .flat_map("rows", "row", iter)
        .map("row", "value", lambda row: row)
        .window(
            ("row", "value"), ("rows", "outs"), 4, 4, toys.op("toy_batch", on_error="keep", carry=1)
        )
        .flat_map(("rows", "outs"), ("row", "out"), zip)
        .returning("row", "out")
    )
    rows = list(chain.stream([[0, 1, -1, 3, 4, 5]]))
    assert [row["out"] for row in rows] == [0, 10, None, 30, 40, 50]
    assert [type(row["error"]).__name__ for row in rows if row["error"]] == ["EncoderError"]


def test_failure_inside_a_generator_is_also_a_row():
    chain = (
        towhee.Pipeline.input("n")
        .flat_map("n", "row", toys.op("toy_stream", on_error="keep"))
        .returning("row")
    )
    rows = list(chain.stream([3]))
    assert [row["row"] for row in rows] == [0, 1, 2, None]
    assert isinstance(rows[-1]["error"], SourceError)


def test_operator_that_returns_none_is_an_error_not_a_lost_row():
    with pytest.raises(TypeError, match="returned None"):
        toys.pipeline("toy_none").output("out")(1)


def test_towhee_itself_drops_rows_whose_operator_returns_none():
    closed = towhee.Pipeline.input("x").map("x", "y", lambda _: None).output("x", "y")
    assert closed(1).size == 0


def test_collecting_garbage_while_an_operator_is_built_does_not_hang():
    """A freed node acquires the lock that is held while the operator is built."""
    done = threading.Event()

    def build():
        toys.pipeline("toy_collecting").output("out")(1)
        done.set()

    for _ in range(3):
        with pytest.raises(ImageCorrupt):
            toys.pipeline("toy_fail").output("out")("x")
    thread = threading.Thread(target=build, daemon=True)
    thread.start()
    assert done.wait(20)
    gc.collect()
