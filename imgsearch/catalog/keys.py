"""Reads and writes API keys in an open transaction.

The catalog stores the digest of a secret, never the secret. `archive.access` checks access.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from imgsearch.catalog.entry import MAX_NAME, check_id, check_text, check_time, now, possible_id
from imgsearch.catalog.tables import API_KEYS, upsert
from imgsearch.errors import AccessDenied, ConfigError
from imgsearch.types import check_name


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key in the catalog. `id` is public; `digest` is a hash of the secret, in hex.

    `scopes` contains "read", "write" or "admin". Times are timezone-aware, in UTC. None means that
    the key was never used, or never expires. `collections` are the names of the only collections
    that the key may use, None for all.
    """

    id: str
    digest: str = field(repr=False)
    scopes: tuple[str, ...]
    name: str = ""
    created: datetime = field(default_factory=now)
    last_used: datetime | None = None
    expires: datetime | None = None
    collections: tuple[str, ...] | None = None


_NAMES: Final = tuple(field.name for field in fields(KeyRow))


def check_key(row: KeyRow) -> None:
    """Check a key before it is written.

    Raises:
        ConfigError: a value is invalid; see `KeyRow`.
    """
    check_id(row.id)
    if not (row.digest.isascii() and row.digest.isalnum() and len(row.digest) <= 128):
        raise ConfigError(f"the digest of key {row.id} is not hex of at most 512 bits")
    check_text("name", row.name, most=MAX_NAME)
    for name in row.collections or ():
        check_name(name)
    for name in ("created", "last_used", "expires"):
        if (time := getattr(row, name)) is not None:
            check_time(name, time)


def save(connection: Connection, row: KeyRow) -> None:
    """See `Catalog.save_key`."""
    upsert(connection, API_KEYS, {name: getattr(row, name) for name in _NAMES})


def used(connection: Connection, id_: str, time: datetime) -> None:
    """See `Catalog.key_used`."""
    if possible_id(id_):
        statement = API_KEYS.update().where(API_KEYS.c.id == id_)
        connection.execute(statement.values(last_used=time))


def one(connection: Connection, id_: str) -> KeyRow:
    """See `Catalog.key`."""
    statement = sa.select(API_KEYS).where(API_KEYS.c.id == id_)
    row = connection.execute(statement).mappings().one_or_none() if possible_id(id_) else None
    if row is None:
        raise AccessDenied(f"key {id_!r} does not exist")
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
    collections: Sequence[str] | None = row["collections"]
    limit = None if collections is None else tuple(collections)
    return KeyRow(**values | {"scopes": tuple(scopes), "collections": limit})
