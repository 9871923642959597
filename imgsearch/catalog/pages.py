"""Listings in pages: each goes on behind the last entry of the one before.

So nothing is repeated or left out when others are added meanwhile, and page 1,000 costs what the
first one does.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from imgsearch.catalog.entries import COLUMNS, entry_of, folded
from imgsearch.catalog.entry import STATES, Entry, Order, Page, State, check_time
from imgsearch.catalog.tables import ENTRIES
from imgsearch.errors import ConfigError

MAX_LIMIT: Final = 1000
_ORDERS: Final[tuple[Order, ...]] = ("created", "name", "size", "label")
_SUM: Final = 6  # bytes of a cursor that tell whether it is whole


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
        for name in ("created_after", "created_before"):
            if (time := getattr(self, name)) is not None:
                check_time(name, time)

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return them for SQL. Values travel beside the statement, never in it."""
        columns = ENTRIES.c
        equal = ("collection", "state", "label", "content", "source")
        found = [
            columns[name] == getattr(self, name)
            for name in equal
            if getattr(self, name) is not None
        ]
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


def check_page(limit: int, order: str) -> None:
    """Check what a page is asked for with.

    Raises:
        ConfigError: `limit` is not in 1 to 1,000, or there is no such order.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ConfigError(f"limit must be in 1 to {MAX_LIMIT:,}, not {limit}")
    if order not in _ORDERS:
        raise ConfigError(f"order is one of {', '.join(_ORDERS)}, not {order!r}")


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
    statement = sa.select(*COLUMNS).where(*filters.conditions())
    if after is not None:
        value, last = _position(after, order, descending=descending)
        if descending:
            statement = statement.where(column <= value, (column < value) | (id_ < last))
        else:
            statement = statement.where(column >= value, (column > value) | (id_ > last))
    ways = [each.desc() if descending else each.asc() for each in (column, id_)]
    rows = connection.execute(statement.order_by(*ways).limit(limit + 1)).mappings().all()
    entries = [entry_of(row) for row in rows[:limit]]
    more = len(rows) > limit
    following = _cursor(entries[-1], order, descending=descending) if more else None
    return Page(entries, count(connection, filters), following)


def _cursor(entry: Entry, order: Order, *, descending: bool) -> str:
    value: Any = getattr(entry, order)
    if isinstance(value, datetime):
        value = value.isoformat()
    return packed([order, descending, value, entry.id])


def _position(cursor: str, order: Order, *, descending: bool) -> tuple[Any, str]:
    match unpacked(cursor):
        case [told, bool(direction), str() | int() as value, str(id_)]:
            if (told, direction) == (order, descending):
                return (_time(value) if order == "created" else value), id_
    raise ConfigError("the cursor is of a listing in another order; start it again")


def _time(value: object) -> datetime:
    return datetime.fromisoformat(str(value))


def packed(values: Sequence[object]) -> str:
    """Return plain values as a word for an URL."""
    told = json.dumps(values, ensure_ascii=False).encode()
    return (
        base64.urlsafe_b64encode(hashlib.sha256(told).digest()[:_SUM] + told).decode().rstrip("=")
    )


def unpacked(word: str) -> list[Any]:
    """Return what was packed.

    Raises:
        ConfigError: the word is damaged, or was never one.
    """
    try:
        whole = base64.urlsafe_b64decode((word + "=" * (-len(word) % 4)).encode("ascii"))
        if hashlib.sha256(whole[_SUM:]).digest()[:_SUM] == whole[:_SUM]:
            values = json.loads(whole[_SUM:])
            if isinstance(values, list):
                return values
    except (UnicodeError, binascii.Error, ValueError):
        pass
    raise ConfigError("the cursor is damaged; start the listing again")
