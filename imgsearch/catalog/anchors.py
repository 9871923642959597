"""Rows that writers about the same content wait for each other at.

SQLite has one writer at a time anyway; there they only keep the foreign keys true.
"""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import mysql, sqlite

from imgsearch.catalog.tables import CONTENTS, ENTRIES, chunks


def lock(connection: Connection, contents: Iterable[str]) -> None:
    """Hold the contents until the transaction ends, made where they are not there.

    In sorted order, so that two writers do not wait for each other in a circle. Inserting is what
    locks, as a row that was only selected may be gone by the time that it could be locked.
    """
    rows = [{"content": content} for content in sorted(set(contents))]
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(CONTENTS).on_conflict_do_nothing(), rows)
        return
    statement = mysql.insert(CONTENTS)
    same = statement.on_duplicate_key_update(content=statement.inserted.content)
    connection.execute(same, rows)


def release(connection: Connection, contents: Iterable[str]) -> None:
    """Remove those locked contents that no entry has."""
    used = sa.select(ENTRIES.c.id).where(ENTRIES.c.content == CONTENTS.c.content).exists()
    for some in chunks(sorted(contents)):
        connection.execute(CONTENTS.delete().where(CONTENTS.c.content.in_(some), ~used))
