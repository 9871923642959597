"""Looks at a catalog without creating or migrating it."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from imgsearch.catalog import upgrade
from imgsearch.catalog.address import address
from imgsearch.catalog.database import Database
from imgsearch.catalog.tables import API_KEYS, ENTRIES


@dataclass(frozen=True, slots=True)
class CatalogFacts:
    """The contents of a catalog. Opening an outdated one migrates it."""

    outdated: bool
    images: int = 0
    keys: int = 0


def inspect(url: str, *, password: str | None, timeout: float) -> CatalogFacts | None:
    """Return the facts of the catalog at `url`, or None if its file does not exist.

    Raises:
        ConfigError, MissingExtra, CatalogError: as for `Catalog`.
    """
    location = address(url)
    if location.get_backend_name() == "sqlite" and not Path(str(location.database)).exists():
        return None
    database = Database(url, password=password, timeout=timeout)
    try:
        return database.read(_facts)
    finally:
        database.close()


def _facts(connection: Connection) -> CatalogFacts:
    known = sa.inspect(connection).get_table_names()
    images, keys = (
        connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        if table.name in known
        else 0
        for table in (ENTRIES, API_KEYS)
    )
    return CatalogFacts(upgrade.needed(connection), images, keys)
