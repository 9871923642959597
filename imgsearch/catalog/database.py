"""One database: opened, asked and changed in transactions, its errors translated."""

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

T = TypeVar("T")
Work = Callable[[Connection], T]

_log = logging.getLogger(__name__)
_TRIES: Final = 8  # of a transaction that others were in the way of
_PAUSE: Final = 0.02  # seconds before the second try, doubled from then on
_CONTENDED: Final = (1205, 1213)  # MySQL: waited too long for a lock; deadlock
_REASONS: Final = {  # MySQL's numbers, whose own messages may hold what was written
    1044: "refuses this user the database",
    1045: "refuses the user or the password",
    1049: "has no such database",
    1142: "refuses this user a statement",
    1040: "has no connection left",
    1153: "refuses a packet as too large",
    1205: "is held up by another writer",
    1213: "is held up by another writer",
    2003: "cannot be reached",
    2006: "lost the connection",
    2013: "lost the connection",
    2055: "lost the connection",
}


class Database:
    """A pool of connections to one database; thread-safe.

    `write` lets one transaction at a time into SQLite (``BEGIN IMMEDIATE``). In a server they run
    side by side, see what others have committed, and wait for each other at `anchors`.
    """

    def __init__(self, url: str, *, password: str | None, timeout: float) -> None:
        if not 0 < timeout < float("inf"):
            raise ConfigError(f"timeout must be a positive number of seconds, not {timeout}")
        place = address(url)
        self.timeout = timeout
        self.embedded = place.get_backend_name() == "sqlite"
        self.name = url
        self._random = np.random.default_rng()
        self._closed = False
        self._engine = self._embedded(place) if self.embedded else self._served(place, password)
        self._writer = self._engine.execution_options(writes=True)  # the same pool

    def read(self, work: Work[T]) -> T:
        """Return what `work` finds, in one transaction that changes nothing."""
        return self._once(work, writes=False)

    def write(self, work: Work[T]) -> T:
        """Return what `work` returns once its changes are kept; none are if it raises.

        It is run again where another writer was in the way, so it may change the database only.
        """
        return self._persist(partial(self._once, work, writes=True))

    def _persist(self, act: Callable[[], T]) -> T:
        """Return what `act` does, done again where another writer was in the way."""
        ends = time.monotonic() + self.timeout
        for attempt in range(_TRIES):
            try:
                return act()
            except CatalogError as error:
                last = attempt == _TRIES - 1 or time.monotonic() > ends
                if last or not _contended(error.__cause__):
                    raise
                _log.debug("%s: a transaction is tried again", self.name)
            time.sleep(_PAUSE * 2**attempt * self._random.uniform(0.5, 1.5))
        raise AssertionError  # the last try returned or raised

    def upgrade(self, *, to: str = "head") -> None:
        """Bring the tables up to date, or to a step of the past.

        Raises:
            CatalogOutdated: a newer version of the code did so.
        """
        if self.embedded:
            self._persist(self._keep_journal)
            if self.read(upgrade.needed):
                self.write(partial(upgrade.run, to=to))
            return
        with self.translated(), self._engine.connect() as connection:
            if upgrade.needed(connection):
                upgrade.run_alone(connection, timeout=self.timeout, to=to)

    def _once(self, work: Work[T], *, writes: bool) -> T:
        if self._closed:
            raise CatalogError(f"catalogue {self.name} is closed")
        engine = self._writer if writes else self._engine
        with self.translated(), engine.begin() as connection:
            return work(connection)

    def _keep_journal(self) -> None:
        """Have SQLite write ahead, so that readers and the writer do not wait for each other."""
        with self.translated():
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
            finally:
                connection.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the database's errors as ours; their statements come without values.

        Raises:
            CatalogError: the database refused or failed.
        """
        try:
            yield
        except exc.DBAPIError as error:
            raise CatalogError(f"catalogue {self.name} {_reason(error.orig)}") from error
        except sqlite3.Error as error:  # of what SQLAlchemy did not run
            raise CatalogError(f"catalogue {self.name} {_reason(error)}") from error
        except exc.TimeoutError as error:
            raise CatalogError(f"catalogue {self.name} has no connection free") from error
        except exc.SQLAlchemyError as error:
            raise CatalogError(f"catalogue {self.name}: {type(error).__name__}") from error

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._closed = True
        self._engine.dispose()

    def _embedded(self, place: sa.URL) -> sa.Engine:
        path = Path(str(place.database))
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(f"catalogue {self.name}: no folder for it: {error}") from error
        _make_private(path)
        engine = sa.create_engine(
            place,
            hide_parameters=True,
            connect_args={"timeout": self.timeout},
            pool_size=8,
            max_overflow=24,
            pool_timeout=self.timeout,
        )
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
        return engine

    def _served(self, place: sa.URL, password: str | None) -> sa.Engine:
        wait = max(1, int(self.timeout / 2))  # whole seconds, as InnoDB counts them
        answer = max(self.timeout, wait + 1)  # so that it is the server who says who is in the way
        return sa.create_engine(
            place,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=24,
            pool_timeout=self.timeout,
            isolation_level="READ COMMITTED",  # what a lock was waited for is then seen
            connect_args={
                "charset": "utf8mb4",
                # as bytes: pymysql 1.2.4 would write a text in Latin-1
                "password": (password or "").encode(),
                "connect_timeout": self.timeout,
                "read_timeout": answer,
                "write_timeout": self.timeout,
                "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",  # else texts are cut off
                "init_command": f"SET innodb_lock_wait_timeout = {wait}",
            },
        )


def _make_private(path: Path) -> None:
    """Create a database's file for its owner alone; SQLite gives its -wal and -shm the same mode.

    A file that exists keeps its mode.
    """
    with suppress(OSError):  # the file exists, or SQLite reports the error
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    """Set up a connection to SQLite."""
    driver: Any = connection
    driver.isolation_level = None  # BEGIN is ours: the driver's own would come too late
    cursor = driver.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")  # in WAL mode a crash leaves it consistent
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin a transaction of SQLite, a writer's with the lock that it will need."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _contended(error: BaseException | None) -> bool:
    """Tell whether another writer was in the way, and no more than that."""
    original = getattr(error, "orig", error)
    if not isinstance(original, Exception) or not original.args:
        return False
    told = original.args[0]
    return told in _CONTENDED or told in ("database is locked", "database table is locked")


def _reason(error: BaseException | None) -> str:
    """Return what happened, in words that hold nothing of what was written."""
    told = error.args[0] if error is not None and error.args else None
    if isinstance(told, int):
        return _REASONS.get(told, f"failed with MySQL's error {told}")
    return f"failed: {told}"  # SQLite names tables and columns, never values
