"""Brings a database's tables up to date, one process at a time."""

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

VERSION_TABLE: Final = "imgsearch_version"  # not Alembic's own name: another program may have that
_turn = threading.Lock()  # Alembic keeps what it runs in a global


def needed(connection: Connection) -> bool:
    """Tell whether the database lacks steps.

    Raises:
        CatalogOutdated: it has had steps that this code does not know.
    """
    scripts = ScriptDirectory.from_config(_config())
    known = {step.revision for step in scripts.walk_revisions()}
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    current = context.get_current_revision()
    if current is not None and current not in known:
        raise CatalogOutdated(
            f"the catalogue is of version {current}, which this imgsearch does not know: "
            "use a newer one"
        )
    return current != scripts.get_current_head()


def run(connection: Connection, *, to: str = "head") -> None:
    """Run the steps that the database lacks, up to `to`.

    Of SQLite the transaction of `connection` holds them all, and keeps other processes out.
    """
    if not needed(connection):  # another process may have been faster
        return
    config = _config()
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    with _turn:
        command.upgrade(config, to)


def run_alone(connection: Connection, *, timeout: float, to: str = "head") -> None:
    """Run the steps that MySQL lacks, which commits each of them, under a lock of its own.

    Raises:
        CatalogError: another process is at it for about `timeout`, in seconds.
    """
    lock = _lock_name(connection)
    patience = int(timeout * 0.8)  # below the driver's own, so that the answer still comes
    if connection.execute(sa.select(sa.func.get_lock(lock, patience))).scalar_one() != 1:
        raise CatalogError("another process is bringing the catalogue up to date; try again")
    try:
        run(connection, to=to)
        connection.commit()  # the version, before the next one may look
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
    """Return a name for the lock: the whole server shares them, and cuts them at 64 letters."""
    name = str(connection.engine.url.database)
    return f"imgsearch:{hashlib.sha256(name.encode()).hexdigest()[:32]}"
