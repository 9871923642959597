"""Runs read and write transactions in a database, and translates its errors."""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection, exc
from sqlalchemy.engine.interfaces import DBAPIConnection

from imgsearch.catalog import upgrade
from imgsearch.catalog.address import address
from imgsearch.errors import CatalogError, ConfigError
from imgsearch.settings import connect_timeout

T = TypeVar("T")
Work = Callable[[Connection], T]

_log = logging.getLogger(__name__)
_TRIES: Final = 8  # attempts for a transaction that conflicts with other writers
_PAUSE: Final = 0.02  # seconds before the second attempt, then doubled
_CONTENDED: Final = (1205, 1213)  # MySQL error codes: lock wait timeout, deadlock
_REASONS: Final = {  # texts by MySQL error code, because MySQL's messages may contain data
    1044: "denies this user access to the database. Grant it, or name another user.",
    1045: "rejects the user or the password. Check both.",
    1049: "does not exist on the server. Create the database first.",
    1142: "denies this user a statement. Grant the user all rights on the database.",
    1040: "has too many connections. Retry later, or raise the server's limit.",
    1153: "rejects a packet as too large. Raise the server's max_allowed_packet.",
    1205: "is locked by another writer. Retry.",
    1213: "is locked by another writer. Retry.",
    2003: "cannot be reached. Check the host and the port, and that the server runs.",
    2006: "lost the connection. Retry.",
    2013: "lost the connection. Retry.",
    2055: "lost the connection. Retry.",
}


class Database:
    """A pool of connections to one database. Thread-safe.

    SQLite runs one `write` at a time (``BEGIN IMMEDIATE``). A server runs writes in parallel
    (``READ COMMITTED``), and `locks` serializes writes to the same content.
    """

    def __init__(self, url: str, *, password: str | None, timeout: float) -> None:
        if not 0 < timeout < float("inf"):
            raise ConfigError(f"timeout is invalid: {timeout}. Pass a positive number of seconds.")
        location = address(url)
        self.timeout = timeout
        self.embedded = location.get_backend_name() == "sqlite"
        self.name = url
        self._random = np.random.default_rng()
        self._closed = False
        connect = self._connect_file if self.embedded else partial(self._connect_server, password)
        self._engine = connect(location)
        self._writer = self._engine.execution_options(writes=True)  # the same pool

    def read(self, work: Work[T]) -> T:
        """Run `work` in a transaction for reading, and return its result."""
        return self._once(work, writes=False)

    def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction, commit it and return the result. An error rolls it back.

        After a conflict with another writer, `work` runs again, so it must have no side effects
        outside the database.
        """
        return self._retry(partial(self._once, work, writes=True))

    def snapshot(self, work: Work[T]) -> T:
        """Run `work` in a transaction for reading whose statements see the rows of one moment."""
        if self.embedded:
            return self.read(work)
        engine = self._engine.execution_options(isolation_level="REPEATABLE READ")
        with self.translated(), engine.begin() as connection:
            return work(connection)

    def _retry(self, act: Callable[[], T]) -> T:
        """Call `act` and return its result. Retries after a conflict with another writer."""
        ends = time.monotonic() + self.timeout
        for attempt in range(_TRIES):
            try:
                return act()
            except CatalogError as error:
                last = attempt == _TRIES - 1 or time.monotonic() > ends
                if last or not _contended(error.__cause__):
                    raise
                _log.debug("%s: retrying a transaction", self.name)
            time.sleep(_PAUSE * 2**attempt * self._random.uniform(0.5, 1.5))
        raise AssertionError  # the last attempt returned or raised

    def upgrade(self, *, to: str = "head") -> None:
        """Migrate the tables to the newest version, or to the version `to`.

        Raises:
            CatalogOutdated: a newer version of imgsearch migrated the tables.
        """
        if self.embedded:
            self._retry(self._enable_wal)
            if self.read(upgrade.needed):
                self.write(partial(upgrade.run, to=to))
            return
        with self.translated(), self._engine.connect() as connection:
            if upgrade.needed(connection):
                upgrade.run_alone(connection, timeout=self.timeout, to=to)

    def _once(self, work: Work[T], *, writes: bool) -> T:
        if self._closed:
            raise CatalogError(f"catalog {self.name} is closed. Open it again.")
        engine = self._writer if writes else self._engine
        with self.translated(), engine.begin() as connection:
            return work(connection)

    def _enable_wal(self) -> None:
        """Switch SQLite to write-ahead logging, so that readers do not block the writer."""
        with self.translated():
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
            finally:
                connection.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Return a context manager that translates database errors and omits data values.

        Raises:
            CatalogError: the database failed.
        """
        try:
            yield
        except exc.DBAPIError as error:
            raise CatalogError(f"catalog {self.name} {_reason(error.orig)}") from error
        except sqlite3.Error as error:  # from statements that bypass SQLAlchemy
            raise CatalogError(f"catalog {self.name} {_reason(error)}") from error
        except exc.TimeoutError as error:
            raise CatalogError(
                f"catalog {self.name} is busy: no free connection. Retry."
            ) from error
        except exc.SQLAlchemyError as error:
            raise CatalogError(f"catalog {self.name} failed: {type(error).__name__}") from error

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._closed = True
        self._engine.dispose()

    def _connect_file(self, location: sa.URL) -> sa.Engine:
        path = Path(str(location.database))
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"catalog {self.name} cannot be opened: its folder cannot be created: {error}"
            ) from error
        _create_private(path)
        engine = sa.create_engine(
            location,
            hide_parameters=True,
            connect_args={"timeout": self.timeout},
            pool_size=8,
            max_overflow=24,
            pool_timeout=self.timeout,
        )
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
        return engine

    def _connect_server(self, password: str | None, location: sa.URL) -> sa.Engine:
        lock_wait = max(1, int(self.timeout / 2))  # whole seconds, as InnoDB requires
        read_timeout = max(
            self.timeout, lock_wait + 1
        )  # so that the server reports a lock timeout first
        return sa.create_engine(
            location,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=24,
            pool_timeout=self.timeout,
            isolation_level="READ COMMITTED",  # shows the changes of a lock's previous holder
            connect_args={
                "charset": "utf8mb4",
                # as bytes, because pymysql 1.2.4 would encode text in Latin-1
                "password": (password or "").encode(),
                "connect_timeout": connect_timeout(self.timeout),
                "read_timeout": read_timeout,
                "write_timeout": self.timeout,
                "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",  # no truncation
                "init_command": f"SET innodb_lock_wait_timeout = {lock_wait}",
            },
        )


def _create_private(path: Path) -> None:
    """Create a database file that only its owner can access. An existing file keeps its mode.

    SQLite creates the -wal and -shm files with the same mode.
    """
    with suppress(OSError):  # the file exists, or SQLite reports the error
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    """Configure a new SQLite connection."""
    driver: Any = connection
    driver.isolation_level = None  # `_begin` runs BEGIN, because the driver's BEGIN comes too late
    cursor = driver.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(
        "PRAGMA synchronous = NORMAL"
    )  # in WAL mode the file stays consistent after a crash
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin a SQLite transaction. A write transaction acquires its lock immediately."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _contended(error: BaseException | None) -> bool:
    """Return whether a conflict with another writer caused an error."""
    original = getattr(error, "orig", error)
    if not isinstance(original, Exception) or not original.args:
        return False
    code = original.args[0]
    return code in _CONTENDED or code in ("database is locked", "database table is locked")


def _reason(error: BaseException | None) -> str:
    """Return the reason for an error, without data values."""
    code = error.args[0] if error is not None and error.args else None
    if isinstance(code, int):
        return _REASONS.get(code, f"failed with MySQL's error {code}")
    return f"failed: {code}"  # SQLite names tables and columns, never values
