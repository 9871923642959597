"""Base classes for the operators in operators/."""

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
from imgsearch.towhee.errors import keep_error
from imgsearch.towhee.imports import PyOperator, SharedType
from imgsearch.types import FailedRow

OnError = Literal["raise", "keep"]
_ROW_AT_FAULT = (EncoderError, FieldInvalid, VectorInvalid)  # other rows of the batch may be valid


class Operator(PyOperator):
    """A pipeline step for one row: `__call__` gets columns and returns columns.

    Every operator takes `on_error`: "raise" ends the pipeline run with the typed error; "keep"
    returns a `FailedRow` in the row's outputs, which later steps pass on.
    One instance serves all threads and rows.
    """

    shared_type = SharedType.Shareable
    outputs: int = 1
    """Number of columns that `__call__` returns."""

    _on_error: OnError = "raise"

    def close(self) -> None:
        """Release the operator's resources, such as connections."""

    def end_run(self) -> None:
        """Handle the end of a pipeline's run: a call of the pipeline, or one of its `batch`."""

    def flush(self) -> None:
        """Write what the operator holds back. Towhee calls it for ``pipeline.flush()``."""

    def __init_subclass__(cls) -> None:
        """Wrap `__init__` and `__call__`, which Towhee calls."""
        if "__init__" in vars(cls):
            cls.__init__ = _wrap_init(cls.__init__)  # type: ignore[method-assign]
        if "__call__" in vars(cls):
            cls.__call__ = cls._wrap_call(cls.__call__)

    @staticmethod
    def _wrap_call(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def call_row(self: "Operator", *columns: Any) -> Any:
            failure = first_failure(columns)
            if failure is None:
                with keep_error():
                    try:
                        result = call(self, *columns)
                    except ImgSearchError as error:
                        if self._on_error == "raise":
                            raise
                        failure = FailedRow(error.with_traceback(None))
                    else:
                        if result is None:
                            raise TypeError(
                                f"{type(self).__name__} returned None: Towhee drops such a row "
                                "silently. Return a value or raise an error."
                            )
                        return self._guard_rows(result) if isinstance(result, Generator) else result
            return failed_outputs(failure, self.outputs)

        return call_row

    def _guard_rows(self, rows: Generator[Any]) -> Generator[Any]:
        """Yield the rows of a flat_map. An error between rows is handled as in a plain call."""
        with keep_error():
            try:
                yield from rows
            except ImgSearchError as error:
                if self._on_error == "raise":
                    raise
                yield failed_outputs(FailedRow(error.with_traceback(None)), self.outputs)


class BatchOperator(Operator):
    """A step for a batch of rows: `__call__` gets lists of equal length and returns such a list.

    In a `window` it gets batches; in a `map` it gets single values and returns a single value.
    `carry` is the number of leading columns that a window returns unchanged along with the result.
    Otherwise Towhee would hold these columns back until the stream ends.
    """

    _carry: int = 0

    @staticmethod
    def _wrap_call(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def call_batch(self: "BatchOperator", *columns: Any) -> Any:
            with keep_error():
                if not isinstance(columns[0], list):
                    return self._run(call, [[column] for column in columns])[0]
                result = self._run(call, columns[self._carry :])
                return (*columns[: self._carry], result) if self._carry else result

        return call_batch

    def _run(self, call: Callable[..., Any], columns: Any) -> list[Any]:
        """Run `call` on the rows without a failure; return results and failures in row order."""
        failures = [first_failure(row) for row in zip(*columns, strict=True)]
        valid = [index for index, failure in enumerate(failures) if failure is None]
        results: list[Any] = list(failures)
        if valid:
            inputs = [[column[index] for index in valid] for column in columns]
            for index, result in zip(valid, self._attempt(call, inputs), strict=True):
                results[index] = result
        return results

    def _attempt(self, call: Callable[..., Any], columns: list[list[Any]]) -> list[Any]:
        """Run `call`. With "keep", an error becomes a `FailedRow` in each row that caused it."""
        size = len(columns[0])
        try:
            return list(call(self, *columns))
        except ImgSearchError as error:
            if self._on_error == "raise":
                raise
            if size == 1 or not isinstance(error, _ROW_AT_FAULT):
                return [FailedRow(error.with_traceback(None))] * size
        return [
            self._attempt(call, [[column[index]] for column in columns])[0] for index in range(size)
        ]


def failed_outputs(failure: FailedRow, outputs: int) -> Any:
    """Return `failure` as the outputs of a step that has `outputs` columns."""
    return failure if outputs == 1 else (failure,) * outputs


def first_failure(columns: Iterable[Any]) -> FailedRow | None:
    """Return the first failure among a row's columns, or None."""
    return next((value for value in columns if isinstance(value, FailedRow)), None)


def _wrap_init(build: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(build)
    def init(
        self: Operator, *args: Any, on_error: OnError = "raise", carry: int = 0, **config: Any
    ) -> None:
        with keep_error():
            if on_error not in ("raise", "keep"):
                raise ConfigError(f'invalid on_error {on_error!r}: use "raise" or "keep".')
            self._on_error = on_error
            if isinstance(self, BatchOperator):
                self._carry = carry
            PyOperator.__init__(self)
            build(self, *args, **config)

    return init
