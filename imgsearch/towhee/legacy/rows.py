"""Rows of Towhee 0.x, and how a pipeline passes them from step to step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imgsearch.errors import FieldInvalid
from imgsearch.towhee.imports import towhee
from imgsearch.towhee.legacy.call import Columns
from imgsearch.towhee.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Empty:
    """A row whose step raised an exception, in a collection that is `exception_safe`."""

    exception: Exception
    value: Any

    def get(self) -> "Empty":
        """Return the exception and the row it was raised for, as the attributes of this object."""
        return self


def entity_type() -> Any:
    """Return Towhee's class of rows."""
    return towhee.datacollection.entity.Entity


def entity(columns: Mapping[str, Any]) -> Any:
    """Return a row: an object with an attribute for each column.

    Raises:
        FieldInvalid: `columns` is not a dictionary with names.
    """
    if not isinstance(columns, Mapping):
        raise FieldInvalid(f"a row must be a dictionary, not {columns!r:.80}")
    return entity_type().from_dict({str(name): value for name, value in columns.items()})


def start() -> Pipeline:
    """Return the pipeline of a list of rows, each in a tuple, because Towhee drops None."""
    start: Pipeline = Pipeline.input("rows").flat_map(
        "rows", "row", lambda rows: [(row,) for row in rows]
    )
    return start


def boxed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` for rows as `start` passes them; an `Empty` row is passed on."""

    def call(box: Any) -> Any:
        return box if isinstance(box[0], Empty) else (function(box[0]),)

    return call


def apply(function: Callable[..., Any], columns: Columns, row: Any) -> Any:
    """Return the row with the results of `function`."""
    result = function(*(getattr(row, name) for name in columns.read))
    if not columns.set:
        return row
    values = (result,) if len(columns.set) == 1 else result
    return entity({**vars(row), **dict(zip(columns.set, values, strict=True))})


def raw(row: Any) -> Any:
    """Return a row's values: a tuple, or the value of a single column."""
    values = tuple(vars(row).values())
    return values[0] if len(values) == 1 else values
