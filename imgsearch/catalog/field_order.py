"""Listings sorted by a field of the user's, which is inside a JSON text in the database.

All rows are read and compared here. Only the entries up to the page's end are in memory.
"""

import heapq
import json
import math
import operator
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from imgsearch.catalog.cursor import DAMAGED, decode, encode
from imgsearch.catalog.entries import find
from imgsearch.catalog.entry import Page
from imgsearch.catalog.entry_filter import OWN, matching, values_of
from imgsearch.catalog.tables import ENTRIES
from imgsearch.errors import ConfigError
from imgsearch.filters import Filter
from imgsearch.order import Order, unknown_field_error
from imgsearch.types import Value

_ROWS: Final = 1_000  # rows read at once
_LETTERS: Final = 64  # of a text that are compared, because a cursor holds them

_Key = tuple[bool, bool, Any, str]


def page_by_field(
    connection: Connection,
    statement: sa.Select[Any],
    order: Order,
    *,
    limit: int,
    after: str | None,
    skip: int,
    where: Filter | None,
    declared: Collection[str],
) -> Page:
    """Return a page of the selected entries in the order of a field; see `Catalog.page`.

    Numbers come before texts, and missing values last, as in `Order.sorted`. Texts are compared by
    their first 64 characters, ties by id.

    Raises:
        ConfigError: the cursor is damaged; or no entry has the field, and it is not in `declared`.
    """
    listing = f"{order.field} by field {'down' if order.descending else 'up'}"
    start = None if after is None else _key_of_cursor(after, listing, order)
    is_after = operator.lt if order.descending else operator.gt
    names, total = set[str](), 0

    def waiting() -> Any:
        nonlocal total
        for id_, values in _values(connection, statement, order, where):
            names.update(values)
            total += 1
            key = _key(values.get(order.field), id_, order)
            if start is None or is_after(key, start):
                yield key

    select = heapq.nlargest if order.descending else heapq.nsmallest
    keys: list[_Key] = select(skip + limit + 1, waiting())
    if total and order.field not in names and order.field not in declared:
        raise unknown_field_error(order.field, names | {*declared, *OWN})
    del keys[:skip]
    cursor = None
    if len(keys) > limit:
        missing, _, value, id_ = keys[limit - 1]
        last = None if missing != order.descending else value
        cursor = encode(listing, json.dumps(last), id_)
    ids = [key[-1] for key in keys[:limit]]
    entries = find(connection, ids)
    return Page([entries[id_] for id_ in ids if id_ in entries], total, cursor)


def _values(
    connection: Connection, statement: sa.Select[Any], order: Order, where: Filter | None
) -> Iterator[tuple[str, Mapping[str, Value]]]:
    """Yield the id and the values of each selected entry; if it is enough, the fields alone."""
    if where is None and order.field not in (*OWN, "id"):
        narrow = statement.with_only_columns(ENTRIES.c.id, ENTRIES.c.fields)
        with connection.execution_options(yield_per=_ROWS).execute(narrow) as rows:
            yield from ((id_, fields) for id_, fields in rows)
        return
    for entry in matching(connection, statement, where):
        yield entry.id, {**values_of(entry), "id": entry.id}


def _key(value: Value | None, id_: str, order: Order) -> _Key:
    """Return the key that entries are compared by; missing values are last in both directions."""
    missing = value is None or value == ""
    if missing:
        return not order.descending, False, 0, id_
    text = isinstance(value, str)
    return order.descending, text, value[:_LETTERS] if isinstance(value, str) else value, id_


def _key_of_cursor(cursor: str, listing: str, order: Order) -> _Key:
    """Return the key of the last entry of the previous page.

    Raises:
        ConfigError: the cursor is damaged, or belongs to another listing.
    """
    text, id_ = decode(cursor, (listing, str, str))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(DAMAGED) from error
    finite = not isinstance(value, float) or math.isfinite(value)
    if not (finite and isinstance(value, str | int | float | None)):
        raise ConfigError(DAMAGED)
    return _key(value, id_, order)
