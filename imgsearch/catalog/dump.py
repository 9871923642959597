"""Writes the rows of a catalog to JSON lines, and reads them into another database."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from imgsearch.catalog.database import Database
from imgsearch.catalog.tables import CHUNK, METADATA, Utc
from imgsearch.errors import CatalogError

_TABLES: Final = METADATA.sorted_tables  # referenced tables come first


def dump(url: str, folder: Path, *, password: str | None, timeout: float) -> dict[str, int]:
    """Write each table to ``TABLE.jsonl`` in `folder`; return the numbers of rows by table.

    All rows are of one moment. An outdated catalog is migrated first.

    Raises:
        CatalogError: the database failed.
    """
    database = Database(url, password=password, timeout=timeout)
    try:
        database.upgrade()
        return database.snapshot(lambda connection: _write(connection, folder))
    finally:
        database.close()


def load(url: str, folder: Path, *, password: str | None, timeout: float) -> dict[str, int]:
    """Replace all rows of a catalog by the dumped ones; return their numbers by table.

    Either all rows are replaced, or none.

    Raises:
        CatalogError: the database failed, or a file was written by a newer imgsearch.
    """
    database = Database(url, password=password, timeout=timeout)
    try:
        database.upgrade()
        return database.write(lambda connection: _replace(connection, folder))
    finally:
        database.close()


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows in a file of `dump`, with times as texts."""
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _write(connection: Connection, folder: Path) -> dict[str, int]:
    counts = {}
    for table in _TABLES:
        with (folder / f"{table.name}.jsonl").open("w", encoding="utf-8") as file:
            number = 0
            for row in connection.execute(sa.select(table)).mappings():
                values = {column.key: row[column] for column in table.columns}
                file.write(json.dumps(values, ensure_ascii=False, default=datetime.isoformat))
                file.write("\n")
                number += 1
            counts[table.name] = number
    return counts


def _replace(connection: Connection, folder: Path) -> dict[str, int]:
    for table in reversed(_TABLES):
        connection.execute(table.delete())
    return {table.name: _insert(connection, table, folder) for table in _TABLES}


def _insert(connection: Connection, table: sa.Table, folder: Path) -> int:
    file = folder / f"{table.name}.jsonl"
    if not file.exists():  # the backup is of a version without this table
        return 0
    known = {column.key for column in table.columns}
    number = 0
    for chunk in _chunks(rows(file)):
        if unknown := sorted(set(chunk[0]) - known):
            raise CatalogError(
                f"{file.name} has the unknown column {unknown[0]!r}: a newer imgsearch wrote it. "
                "Upgrade imgsearch."
            )
        connection.execute(table.insert(), [_values(table, row) for row in chunk])
        number += len(chunk)
    return number


def _values(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
    times = {column.key for column in table.columns if isinstance(column.type, Utc)}
    return {
        name: datetime.fromisoformat(value) if name in times and value else value
        for name, value in row.items()
    }


def _chunks(lines: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(lines)
    while chunk := list(islice(remaining, CHUNK)):
        yield chunk
