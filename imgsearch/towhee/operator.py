"""The base classes of the operators in operators/."""

import functools
from collections.abc import Callable, Generator, Iterable
from typing import Any, Literal

from imgsearch.errors import (
    ConfigError,
    EncoderError,
    FieldInvalid,
    ImgSearchError,
    VectorInvalid,
)
from imgsearch.towhee.errors import ticketed
from imgsearch.towhee.imports import PyOperator, SharedType
from imgsearch.types import Failure

OnError = Literal["raise", "keep"]
_NONE = "Towhee would drop the row without a word"
_ROW_AT_FAULT = (EncoderError, FieldInvalid, VectorInvalid)  # the batch's other rows may be well


class Operator(PyOperator):
    """One step of a pipeline over one row: `__call__` takes columns and returns columns.

    Every operator takes `on_error`: "raise" ends the pipeline's run with the error, typed;
    "keep" puts a `Failure` in the row's outputs, which later steps pass on untouched.
    One instance serves all threads and all rows.
    """

    shared_type = SharedType.Shareable
    outputs: int = 1
    """How many columns `__call__` returns."""

    _on_error: OnError = "raise"

    def close(self) -> None:
        """Let go of what the operator holds open."""

    def __init_subclass__(cls) -> None:
        """Wrap the two methods that Towhee calls."""
        if "__init__" in vars(cls):
            cls.__init__ = _built(cls.__init__)  # type: ignore[method-assign]
        if "__call__" in vars(cls):
            cls.__call__ = cls._wrapped(cls.__call__)

    @staticmethod
    def _wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def row(self: "Operator", *columns: Any) -> Any:
            failure = failure_in(columns)
            if failure is None:
                with ticketed():
                    try:
                        result = call(self, *columns)
                    except ImgSearchError as error:
                        if self._on_error == "raise":
                            raise
                        failure = Failure(error.with_traceback(None))
                    else:
                        if result is None:
                            raise TypeError(f"{type(self).__name__} returned None: {_NONE}")
                        return self._guarded(result) if isinstance(result, Generator) else result
            return failed(failure, self.outputs)

        return row

    def _guarded(self, rows: Generator[Any]) -> Generator[Any]:
        """Yield a flat_map's rows; an error on the way is treated as one at the start."""
        with ticketed():
            try:
                yield from rows
            except ImgSearchError as error:
                if self._on_error == "raise":
                    raise
                yield failed(Failure(error.with_traceback(None)), self.outputs)


class BatchOperator(Operator):
    """One step over many rows at once: `__call__` takes lists of one length and returns one.

    In a `window` it sees batches; in a `map` it is given single values and returns a single one.
    `carry`: the first so many columns go through a window untouched, to stay in step with the
    result: Towhee would hold them back until the stream ends.
    """

    _carry: int = 0

    @staticmethod
    def _wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def batch(self: "BatchOperator", *columns: Any) -> Any:
            with ticketed():
                if not isinstance(columns[0], list):
                    return self._run(call, [[column] for column in columns])[0]
                result = self._run(call, columns[self._carry :])
                return (*columns[: self._carry], result) if self._carry else result

        return batch

    def _run(self, call: Callable[..., Any], columns: Any) -> list[Any]:
        """Call on the rows that hold no failure; put each result in its row's place."""
        failures = [failure_in(row) for row in zip(*columns, strict=True)]
        well = [place for place, failure in enumerate(failures) if failure is None]
        results: list[Any] = list(failures)
        if well:
            good = [[column[place] for place in well] for column in columns]
            for place, result in zip(well, self._attempt(call, good), strict=True):
                results[place] = result
        return results

    def _attempt(self, call: Callable[..., Any], columns: list[list[Any]]) -> list[Any]:
        """Call; where "keep" is asked for, an error becomes the failure of the rows at fault."""
        size = len(columns[0])
        try:
            return list(call(self, *columns))
        except ImgSearchError as error:
            if self._on_error == "raise":
                raise
            if size == 1 or not isinstance(error, _ROW_AT_FAULT):
                return [Failure(error.with_traceback(None))] * size
        return [
            self._attempt(call, [[column[place]] for column in columns])[0] for place in range(size)
        ]


def failed(failure: Failure, outputs: int) -> Any:
    """Return what a step of so many output columns gives for a failed row."""
    return failure if outputs == 1 else (failure,) * outputs


def failure_in(columns: Iterable[Any]) -> Failure | None:
    """Return the first failure among a row's columns."""
    return next((value for value in columns if isinstance(value, Failure)), None)


def _built(build: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(build)
    def init(
        self: Operator, *args: Any, on_error: OnError = "raise", carry: int = 0, **config: Any
    ) -> None:
        with ticketed():
            if on_error not in ("raise", "keep"):
                raise ConfigError(f'on_error is "raise" or "keep", not {on_error!r}')
            self._on_error = on_error
            if isinstance(self, BatchOperator):
                self._carry = carry
            PyOperator.__init__(self)
            build(self, *args, **config)

    return init
