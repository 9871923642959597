"""Paged listings, where each page starts after the last entry of the previous page.

So new entries do not repeat or hide others, and page 1,000 is as fast as page 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from imgsearch.catalog.cursor import decode, encode
from imgsearch.catalog.entries import COLUMNS, entry_of, folded
from imgsearch.catalog.entry import STATES, Entry, Order, Page, State, check_text, check_time
from imgsearch.catalog.tables import ENTRIES
from imgsearch.errors import ConfigError
from imgsearch.filters import Filter, forms, in_any_form, matches_sparse
from imgsearch.types import Value

MAX_LIMIT: Final = 1000
_ROWS: Final = 1_000  # rows read at once
_KINDS: Final = {"created": datetime, "name": str, "size": int, "label": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Filters for the entries of a listing. None accepts all entries.

    `created_after` is inclusive, `created_before` is exclusive.
    """

    collection: str | None = None
    state: State | None = None
    label: str | None = None
    text: str | None = None
    content: str | None = None
    source: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def __post_init__(self) -> None:
        if self.state is not None and self.state not in STATES:
            raise ConfigError(f"state {self.state!r} is unknown. Use one of {', '.join(STATES)}.")
        for name in ("collection", "label", "text", "content", "source"):
            if (text := getattr(self, name)) is not None:
                check_text(name, text)
        for name in ("created_after", "created_before"):
            if (time := getattr(self, name)) is not None:
                check_time(name, time)

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the SQL conditions, with values as bound parameters."""
        columns = ENTRIES.c
        equal = ("collection", "state", "content", "source")
        conditions = [
            columns[name] == getattr(self, name)
            for name in equal
            if getattr(self, name) is not None
        ]
        if self.label is not None:
            conditions.append(columns.label.in_(forms(self.label)))
        if self.text:
            # not LIKE, which would require escaping wildcards in the text
            conditions.append(sa.func.instr(columns.folded, folded(self.text)) > 0)
        if self.created_after is not None:
            conditions.append(columns.created >= self.created_after)
        if self.created_before is not None:
            conditions.append(columns.created < self.created_before)
        return conditions


def count(connection: Connection, filters: Filters) -> int:
    """Return the number of entries that match the filters."""
    statement = sa.select(sa.func.count()).select_from(ENTRIES).where(*filters.conditions())
    return int(connection.execute(statement).scalar_one())


def contents(connection: Connection, collection: str | None) -> int:
    """See `Catalog.contents`."""
    statement = sa.select(sa.func.count(ENTRIES.c.content.distinct()))
    conditions = Filters(collection=collection).conditions()
    return int(connection.execute(statement.where(*conditions)).scalar_one())


def labels(connection: Connection, collection: str) -> dict[str, int]:
    """See `Catalog.labels`."""
    label, conditions = ENTRIES.c.label, Filters(collection=collection, state="ready").conditions()
    statement = sa.select(label, sa.func.count()).where(*conditions, label != "")
    rows = connection.execute(statement.group_by(label).order_by(label))
    return {name: int(n) for name, n in rows}


def collections(connection: Connection) -> dict[str, int]:
    """See `Catalog.collections`."""
    column = ENTRIES.c.collection
    rows = connection.execute(sa.select(column, sa.func.count()).group_by(column).order_by(column))
    return {name: int(n) for name, n in rows}


def check_limit(limit: int) -> None:
    """Check the size of a page.

    Raises:
        ConfigError: `limit` is not in 1 to 1,000.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ConfigError(f"limit {limit} is out of range. Use 1 to {MAX_LIMIT:,}.")


def check_order(order: str) -> None:
    """Check that a sort order is known.

    Raises:
        ConfigError: the order is unknown.
    """
    if order not in _KINDS:
        raise ConfigError(f"order {order!r} is unknown. Use one of {', '.join(_KINDS)}.")


def page(
    connection: Connection,
    filters: Filters,
    *,
    limit: int,
    after: str | None,
    order: Order,
    descending: bool,
    where: Filter | None = None,
) -> Page:
    """See `Catalog.page`."""
    column, id_ = ENTRIES.c[order], ENTRIES.c.id
    listing = _listing(order, descending=descending)
    statement = sa.select(*COLUMNS).where(*filters.conditions())
    if after is not None:
        value, last = decode(after, (listing, _KINDS[order], str))
        if descending:
            statement = statement.where(column <= value, (column < value) | (id_ < last))
        else:
            statement = statement.where(column >= value, (column > value) | (id_ > last))
    ordering = [key.desc() if descending else key.asc() for key in (column, id_)]
    if where is None:
        rows = connection.execute(statement.order_by(*ordering).limit(limit + 1)).all()
        matching, total = [entry_of(row) for row in rows], count(connection, filters)
    else:
        matching = list(
            islice(_matching(connection, statement.order_by(*ordering), where), limit + 1)
        )
        whole = sa.select(*COLUMNS).where(*filters.conditions())
        total = sum(1 for _ in _matching(connection, whole, where))
    entries = matching[:limit]
    cursor = None
    if len(matching) > limit:
        cursor = encode(listing, getattr(entries[-1], order), entries[-1].id)
    return Page(entries, total, cursor)


def _matching(connection: Connection, statement: sa.Select[Any], where: Filter) -> Iterator[Entry]:
    """Yield the entries that match a filter, which is compared here, row by row."""
    condition = in_any_form(where)
    with connection.execution_options(yield_per=_ROWS).execute(statement) as rows:
        for row in rows:
            entry = entry_of(row)
            if matches_sparse(condition, _values(entry)):
                yield entry


def _values(entry: Entry) -> dict[str, Value]:
    """Return the values that filters compare: the user's fields, and the values of the entry."""
    names = ("label", "name", "size", "width", "height", "format", "source")
    own: dict[str, Value] = {name: getattr(entry, name) for name in names}
    times = {"created": entry.created.isoformat()}
    return {**entry.fields, **own, **times, "path": entry.place or entry.name}


def _listing(order: Order, *, descending: bool) -> str:
    """Return the listing's name for cursors, which differs for each sort order."""
    return f"{order} down" if descending else f"{order} up"
