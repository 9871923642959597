"""Filters on the values of entries, which are compared here, row by row."""

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from imgsearch.catalog.entries import entry_of
from imgsearch.catalog.entry import Entry
from imgsearch.filters import Filter, in_any_form, matches_sparse
from imgsearch.types import Value

_ROWS: Final = 1_000  # rows read at once


def matching(
    connection: Connection, statement: sa.Select[Any], where: Filter | None
) -> Iterator[Entry]:
    """Yield the selected entries that match a filter. All match if `where` is None."""
    condition = None if where is None else in_any_form(where)
    with connection.execution_options(yield_per=_ROWS).execute(statement) as rows:
        for row in rows:
            entry = entry_of(row)
            if condition is None or matches_sparse(condition, values_of(entry)):
                yield entry


OWN: Final = ("label", "name", "size", "width", "height", "format", "source", "created", "path")
"""The values of an entry beside the user's fields."""


def values_of(entry: Entry) -> dict[str, Value]:
    """Return the values that filters compare: the user's fields, and the values of the entry."""
    names = ("label", "name", "size", "width", "height", "format", "source")
    own: dict[str, Value] = {name: getattr(entry, name) for name in names}
    times = {"created": entry.created.isoformat()}
    return {**entry.fields, **own, **times, "path": entry.place or entry.name}
