"""Migrates the tables of a database, one process at a time."""

import hashlib
import threading
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from imgsearch.errors import CatalogError, CatalogOutdated

VERSION_TABLE: Final = "imgsearch_version"  # not Alembic's default: another program may use that
_turn = threading.Lock()  # Alembic keeps the running migration in a global variable


def needed(connection: Connection) -> bool:
    """Return whether the database lacks migrations.

    Raises:
        CatalogOutdated: it has a migration that this version of imgsearch does not know.
    """
    scripts = ScriptDirectory.from_config(_config())
    known = {step.revision for step in scripts.walk_revisions()}
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    current = context.get_current_revision()
    if current is not None and current not in known:
        raise CatalogOutdated(
            f"the catalog cannot be opened: its version {current} is unknown to this imgsearch. "
            "Upgrade imgsearch."
        )
    return current != scripts.get_current_head()


def run(connection: Connection, *, to: str = "head") -> None:
    """Run the migrations that the database lacks, up to `to`.

    On SQLite all run in the transaction of `connection`, which locks other processes out.
    """
    if not needed(connection):  # another process may have run them meanwhile
        return
    config = _config()
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    with _turn:
        command.upgrade(config, to)


def run_alone(connection: Connection, *, timeout: float, to: str = "head") -> None:
    """Run the migrations that MySQL lacks under a named lock, because MySQL commits each of them.

    Raises:
        CatalogError: another process holds the lock for about `timeout` seconds.
    """
    lock = _lock_name(connection)
    patience = int(timeout * 0.8)  # less than the driver's timeout, so that the response arrives
    if connection.execute(sa.select(sa.func.get_lock(lock, patience))).scalar_one() != 1:
        raise CatalogError("the catalog cannot be opened: another process migrates it. Retry.")
    try:
        run(connection, to=to)
        connection.commit()  # the version, before the next process reads it
    finally:
        connection.execute(sa.select(sa.func.release_lock(lock)))


def _config() -> Config:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
    )
    config.set_main_option("path_separator", "os")
    return config


def _lock_name(connection: Connection) -> str:
    """Return the lock's name; names are shared by the whole server and at most 64 characters."""
    name = str(connection.engine.url.database)
    return f"imgsearch:{hashlib.sha256(name.encode()).hexdigest()[:32]}"
