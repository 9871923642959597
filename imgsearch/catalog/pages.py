"""Listings in pages: each goes on behind the last entry of the one before.

So nothing is repeated or left out when others are added meanwhile, and page 1,000 costs what the
first one does.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from imgsearch.catalog.cursor import packed, position
from imgsearch.catalog.entries import COLUMNS, entry_of, folded
from imgsearch.catalog.entry import STATES, Order, Page, State, check_text, check_time
from imgsearch.catalog.tables import ENTRIES
from imgsearch.errors import ConfigError
from imgsearch.filters import forms

MAX_LIMIT: Final = 1000
_KINDS: Final = {"created": datetime, "name": str, "size": int, "label": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which entries a listing has; what is None leaves them all in.

    `created_after` itself is in, `created_before` is not.
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
            raise ConfigError(f"state is one of {', '.join(STATES)}, not {self.state!r}")
        for name in ("collection", "label", "text", "content", "source"):
            if (text := getattr(self, name)) is not None:
                check_text(name, text)
        for name in ("created_after", "created_before"):
            if (time := getattr(self, name)) is not None:
                check_time(name, time)

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return them for SQL. Values travel beside the statement, never in it."""
        columns = ENTRIES.c
        equal = ("collection", "state", "content", "source")
        found = [
            columns[name] == getattr(self, name)
            for name in equal
            if getattr(self, name) is not None
        ]
        if self.label is not None:
            found.append(columns.label.in_(forms(self.label)))
        if self.text:
            # no LIKE: its wildcards would have to be taken out of the text
            found.append(sa.func.instr(columns.folded, folded(self.text)) > 0)
        if self.created_after is not None:
            found.append(columns.created >= self.created_after)
        if self.created_before is not None:
            found.append(columns.created < self.created_before)
        return found


def count(connection: Connection, filters: Filters) -> int:
    """Return how many entries there are."""
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
    name = ENTRIES.c.collection
    rows = connection.execute(sa.select(name, sa.func.count()).group_by(name).order_by(name))
    return {told: int(n) for told, n in rows}


def check_limit(limit: int) -> None:
    """Check how many are asked for.

    Raises:
        ConfigError: `limit` is not in 1 to 1,000.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ConfigError(f"limit must be in 1 to {MAX_LIMIT:,}, not {limit}")


def check_order(order: str) -> None:
    """Check the name of an order.

    Raises:
        ConfigError: there is no such order.
    """
    if order not in _KINDS:
        raise ConfigError(f"order is one of {', '.join(_KINDS)}, not {order!r}")


def page(
    connection: Connection,
    filters: Filters,
    *,
    limit: int,
    after: str | None,
    order: Order,
    descending: bool,
) -> Page:
    """See `Catalog.page`."""
    column, id_ = ENTRIES.c[order], ENTRIES.c.id
    listing = _listing(order, descending=descending)
    statement = sa.select(*COLUMNS).where(*filters.conditions())
    if after is not None:
        value, last = position(after, (listing, _KINDS[order], str))
        if descending:
            statement = statement.where(column <= value, (column < value) | (id_ < last))
        else:
            statement = statement.where(column >= value, (column > value) | (id_ > last))
    ways = [each.desc() if descending else each.asc() for each in (column, id_)]
    rows = connection.execute(statement.order_by(*ways).limit(limit + 1)).all()
    entries = [entry_of(row) for row in rows[:limit]]
    following = None
    if len(rows) > limit:
        following = packed(listing, getattr(entries[-1], order), entries[-1].id)
    return Page(entries, count(connection, filters), following)


def _listing(order: Order, *, descending: bool) -> str:
    """Return what a cursor is for: it means nothing in another order."""
    return f"{order} down" if descending else f"{order} up"
