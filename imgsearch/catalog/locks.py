"""Locks on contents: writers of the same content wait for each other.

A lock is a row in the table `contents`. SQLite allows one writer at a time, so there the rows are
only needed as foreign keys.
"""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import mysql, sqlite

from imgsearch.catalog.tables import CONTENTS, ENTRIES, chunks


def lock(connection: Connection, contents: Iterable[str]) -> None:
    """Lock contents until the transaction ends. Missing rows are created.

    Contents are locked in sorted order to prevent deadlocks. The lock is an INSERT, because a
    selected row may be deleted before it is locked.
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
    """Delete the rows of locked contents that no entry uses."""
    used = [
        sa.select(ENTRIES.c.id).where(column == CONTENTS.c.content).exists()
        for column in (ENTRIES.c.content, ENTRIES.c.original)
    ]
    for chunk in chunks(sorted(contents)):
        unused = CONTENTS.c.content.in_(chunk), ~used[0], ~used[1]
        connection.execute(CONTENTS.delete().where(*unused))
