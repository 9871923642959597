"""Migrates the tables of a database in one process at a time."""

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

VERSION_TABLE: Final = "imgsearch_version"  # not Alembic's default, which another program may use
_turn = threading.Lock()  # Alembic keeps the running migration in a global variable


def needed(connection: Connection) -> bool:
    """Return whether migrations are missing in the database.

    Raises:
        CatalogOutdated: the database has a migration that this imgsearch does not know.
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
    """Run the missing migrations up to the version `to`.

    On SQLite all migrations run in the transaction of `connection`, which blocks other writers.
    """
    if not needed(connection):  # another process has run them
        return
    config = _config()
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    with _turn:
        command.upgrade(config, to)


def run_alone(connection: Connection, *, timeout: float, to: str = "head") -> None:
    """Run the missing migrations while holding a named lock of the MySQL server.

    The lock is needed because MySQL commits each migration separately.

    Raises:
        CatalogError: another process held the lock for most of `timeout` seconds.
    """
    lock = _lock_name(connection)
    patience = int(timeout * 0.8)  # less than the driver's timeout, so that the response arrives
    if connection.execute(sa.select(sa.func.get_lock(lock, patience))).scalar_one() != 1:
        raise CatalogError("the catalog cannot be opened: another process migrates it. Retry.")
    try:
        run(connection, to=to)
        connection.commit()  # saves the version before another process reads it
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
    """Return the lock's name. Lock names are server-wide and have at most 64 characters."""
    name = str(connection.engine.url.database)
    return f"imgsearch:{hashlib.sha256(name.encode()).hexdigest()[:32]}"
