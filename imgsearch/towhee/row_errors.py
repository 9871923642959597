"""Lets an error in a step of a user fail one row in the place of the whole run."""

from collections.abc import Callable, Generator
from functools import wraps
from typing import Any, Final

from imgsearch.errors import ImgSearchError, StepFailed
from imgsearch.towhee.errors import keep_error
from imgsearch.towhee.imports import FilterConst, FlatMapConst, MapConst, OPType
from imgsearch.towhee.operator import failed_outputs, first_failure
from imgsearch.types import FailedRow

_OURS: Final = "imgsearch/"  # operators that take `on_error`
_BY_ROW: Final = (MapConst.name, FlatMapConst.name)
_IDENTITY: Final = "id"  # the column that names a row, and is kept when another one failed


def skip_failed_rows(node: dict[str, Any]) -> None:
    """Let the function of a node never get a row with a failure, as far as it gets single rows.

    Every callable becomes a plain function, because Towhee copies all others with every step: a
    bound method would be copied together with its object.
    """
    action, kind = node["op_info"], node["iter_info"]["type"]
    if not callable(action["operator"]):
        return
    if kind in _BY_ROW:
        flat = kind == FlatMapConst.name
        action["operator"] = _skip_failures(action["operator"], len(node["outputs"]), flat=flat)
    else:
        action["operator"] = _plain(action["operator"], passes_failures=kind == FilterConst.name)


def keep_row_errors(node: dict[str, Any]) -> None:
    """Let the step of a node return a `FailedRow` in the place of raising an exception.

    A step that does not run by row still raises, but the exception keeps its type.
    """
    action, kind = node["op_info"], node["iter_info"]["type"]
    if action["type"] == OPType.HUB and action["operator"].startswith(_OURS):
        action["init_kws"] = {"on_error": "keep", **(action["init_kws"] or {})}
    elif not callable(action["operator"]):
        return
    elif kind in _BY_ROW:
        action["operator"] = _catch(action["operator"], node)
    else:
        action["operator"] = keep_error()(action["operator"])


def _skip_failures(function: Callable[..., Any], outputs: int, *, flat: bool) -> Callable[..., Any]:
    """Wrap `function` so that a row with a failure is passed on without a call."""

    @wraps(function)
    def call(*columns: Any) -> Any:
        failure = first_failure(columns)
        if failure is None:
            return function(*columns)
        result = failed_outputs(failure, outputs)
        return [result] if flat else result

    return call


def _plain(function: Callable[..., Any], *, passes_failures: bool) -> Callable[..., Any]:
    """Wrap `function`; with `passes_failures` it returns True for a row with a failure."""

    @wraps(function)
    def call(*columns: Any) -> Any:
        if passes_failures and first_failure(columns) is not None:
            return True
        return function(*columns)

    return call


def _catch(function: Callable[..., Any], node: dict[str, Any]) -> Callable[..., Any]:
    """Wrap a user's function so that an exception becomes a `FailedRow`.

    If the node passes the column `id` on among others, a failed row keeps its id.
    """
    flat = node["iter_info"]["type"] == FlatMapConst.name
    inputs, outputs = tuple(node["inputs"]), tuple(node["outputs"])
    kept = len(outputs) > 1 and _IDENTITY in inputs and _IDENTITY in outputs

    def failed(failure: FailedRow, columns: tuple[Any, ...]) -> Any:
        result = failed_outputs(failure, len(outputs))
        if kept:
            id_ = columns[inputs.index(_IDENTITY)]
            result = tuple(
                id_ if name == _IDENTITY else value
                for name, value in zip(outputs, result, strict=True)
            )
        return [result] if flat else result

    @wraps(function)
    def call(*columns: Any) -> Any:
        failure = first_failure(columns)
        if failure is not None:
            return failed(failure, columns)
        try:
            result = function(*columns)
            return list(result) if flat and isinstance(result, Generator) else result
        except ImgSearchError as error:
            failure = FailedRow(error.with_traceback(None))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's function may raise any
            failure = FailedRow(StepFailed.of(error))
        return failed(failure, columns)

    return call
