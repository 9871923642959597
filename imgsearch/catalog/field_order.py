"""Listings sorted by a field of the user's, which is inside a JSON text in the database.

All rows are read and compared here. Only the entries up to the page's end are in memory.
"""

import heapq
import json
import math
from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from imgsearch.catalog.cursor import DAMAGED, decode, encode
from imgsearch.catalog.entry import Entry, Page
from imgsearch.catalog.entry_filter import matching, values_of
from imgsearch.errors import ConfigError
from imgsearch.filters import Filter
from imgsearch.order import Order, unknown_field_error
from imgsearch.types import Value

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
    names, total = set[str](), 0

    def waiting() -> Any:
        nonlocal total
        for entry in matching(connection, statement, where):
            values = {**values_of(entry), "id": entry.id}
            names.update(values)
            total += 1
            key = _key(values.get(order.field), entry.id, order)
            if start is None or (key < start if order.descending else key > start):
                yield key, entry

    # keys differ by their ids, so entries are never compared
    select = heapq.nlargest if order.descending else heapq.nsmallest
    pairs: list[tuple[_Key, Entry]] = select(skip + limit + 1, waiting(), key=lambda pair: pair[0])
    if total and order.field not in names and order.field not in declared:
        raise unknown_field_error(order.field, names | set(declared))
    del pairs[:skip]
    cursor = None
    if len(pairs) > limit:
        missing, _, value, id_ = pairs[limit - 1][0]
        last = None if missing != order.descending else value
        cursor = encode(listing, json.dumps(last), id_)
    return Page([entry for _, entry in pairs[:limit]], total, cursor)


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
