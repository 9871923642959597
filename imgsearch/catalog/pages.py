"""Paged listings, where each page starts after the last entry of the previous page.

So new entries do not repeat or hide others, and page 1,000 is as fast as page 1.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from imgsearch.catalog.cursor import decode, encode
from imgsearch.catalog.entries import COLUMNS, folded
from imgsearch.catalog.entry import ORDERS, STATES, Page, State, check_text, check_time
from imgsearch.catalog.entry_filter import matching
from imgsearch.catalog.field_order import page_by_field
from imgsearch.catalog.tables import ENTRIES
from imgsearch.errors import ConfigError
from imgsearch.filters import Filter, forms
from imgsearch.order import Order

MAX_LIMIT: Final = 1000
MAX_SKIP: Final = 100_000  # entries; cursors lead further, and faster
_KINDS: Final = {"created": datetime, "name": str, "size": int, "label": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Filters for the entries of a listing. None accepts all entries.

    `collections` are several names, of which one is an entry's. `created_after` is inclusive,
    `created_before` is exclusive.
    """

    collection: str | None = None
    state: State | None = None
    label: str | None = None
    text: str | None = None
    content: str | None = None
    source: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    collections: Collection[str] | None = None

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
        if self.collections is not None:
            conditions.append(columns.collection.in_(sorted(self.collections)))
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


def count_matching(connection: Connection, filters: Filters, where: Filter) -> tuple[int, int]:
    """See `Catalog.count_matching`."""
    whole = sa.select(*COLUMNS).where(*filters.conditions())
    images, contents = 0, set[str]()
    for entry in matching(connection, whole, where):
        images += 1
        contents.add(entry.content)
    return images, len(contents)


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


def check_skip(skip: int, after: str | None) -> None:
    """Check the number of entries to skip.

    Raises:
        ConfigError: `skip` is not in 0 to 100,000, or there is a cursor, too.
    """
    if not 0 <= skip <= MAX_SKIP:
        raise ConfigError(f"skip {skip} is out of range. Use 0 to {MAX_SKIP:,}, or a cursor.")
    if skip and after is not None:
        raise ConfigError("a page begins after a cursor, or after skipped entries, not both.")


def page(
    connection: Connection,
    filters: Filters,
    *,
    limit: int,
    after: str | None,
    skip: int = 0,
    order: Order,
    where: Filter | None = None,
    declared: Collection[str] = (),
) -> Page:
    """See `Catalog.page`."""
    whole = sa.select(*COLUMNS).where(*filters.conditions())
    if order.field not in ORDERS:
        return page_by_field(
            connection,
            whole,
            order,
            limit=limit,
            after=after,
            skip=skip,
            where=where,
            declared=declared,
        )
    column, id_ = ENTRIES.c[order.field], ENTRIES.c.id
    listing = f"{order.field} {'down' if order.descending else 'up'}"
    statement = whole
    if after is not None:
        value, last = decode(after, (listing, _KINDS[order.field], str))
        if order.descending:
            statement = statement.where(column <= value, (column < value) | (id_ < last))
        else:
            statement = statement.where(column >= value, (column > value) | (id_ > last))
    ordering = [key.desc() if order.descending else key.asc() for key in (column, id_)]
    statement = statement.order_by(*ordering)
    if where is None:
        statement, skip = statement.limit(limit + 1).offset(skip), 0
    entries = list(islice(matching(connection, statement, where), skip, skip + limit + 1))
    cursor = None
    if len(entries) > limit:
        last_entry = entries[limit - 1]
        cursor = encode(listing, getattr(last_entry, order.field), last_entry.id)
    if where is None:
        return Page(entries[:limit], count(connection, filters), cursor)
    return Page(entries[:limit], count_matching(connection, filters, where)[0], cursor)
