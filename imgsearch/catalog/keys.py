"""Rows about API keys, written and read in a transaction that is given.

What a key is and who may do what is for others to say: here is no secret, only its digest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from imgsearch.catalog.entry import MAX_NAME, check_text, check_time, now, possible_id
from imgsearch.catalog.tables import API_KEYS, put
from imgsearch.errors import AccessDenied, ConfigError


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key as it is kept: `id` is its public part, `digest` a hash of its secret one, hex.

    `scopes` are some of "read", "write", "admin". Times are aware, UTC; None: never.
    """

    id: str
    digest: str = field(repr=False)
    scopes: tuple[str, ...]
    name: str = ""
    created: datetime = field(default_factory=now)
    last_used: datetime | None = None
    expires: datetime | None = None


_NAMES: Final = tuple(each.name for each in fields(KeyRow))


def check_key(row: KeyRow) -> None:
    """Check what is to be written.

    Raises:
        ConfigError: a part of it is not what `KeyRow` says.
    """
    if not possible_id(row.id):
        raise ConfigError(f"id {row.id!r} is not 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'")
    if not (row.digest.isascii() and row.digest.isalnum() and len(row.digest) <= 128):
        raise ConfigError(f"the digest of key {row.id} is not hex of at most 512 bits")
    check_text("name", row.name, most=MAX_NAME)
    for name in ("created", "last_used", "expires"):
        if (time := getattr(row, name)) is not None:
            check_time(name, time)


def save(connection: Connection, row: KeyRow) -> None:
    """See `Catalog.save_key`."""
    put(connection, API_KEYS, {name: getattr(row, name) for name in _NAMES})


def used(connection: Connection, id_: str, time: datetime) -> None:
    """See `Catalog.key_used`."""
    if possible_id(id_):
        mine = API_KEYS.update().where(API_KEYS.c.id == id_)
        connection.execute(mine.values(last_used=time))


def one(connection: Connection, id_: str) -> KeyRow:
    """See `Catalog.key`."""
    statement = sa.select(API_KEYS).where(API_KEYS.c.id == id_)
    row = connection.execute(statement).mappings().one_or_none() if possible_id(id_) else None
    if row is None:
        raise AccessDenied(f"there is no key {id_!r}")
    return _row_of(row)


def every(connection: Connection) -> list[KeyRow]:
    """See `Catalog.keys`."""
    statement = sa.select(API_KEYS).order_by(API_KEYS.c.created, API_KEYS.c.id)
    return [_row_of(row) for row in connection.execute(statement).mappings()]


def delete(connection: Connection, id_: str) -> None:
    """See `Catalog.delete_key`."""
    one(connection, id_)
    connection.execute(API_KEYS.delete().where(API_KEYS.c.id == id_))


def _row_of(row: RowMapping) -> KeyRow:
    values = {name: row[name] for name in _NAMES}
    scopes: Sequence[str] = row["scopes"]
    return KeyRow(**values | {"scopes": tuple(scopes)})
