"""The place of an empty catalog in each database: a new SQLite file, an emptied MariaDB."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgsearch.catalog import Catalog
from imgsearch.catalog.tables import METADATA
from tests.catalog.places import Place
from tests.services.mariadb_server import MariaDBServer

DATABASES = ("sqlite", "mariadb")
SHARED = "imgsearch_tests"  # created once, because servers create tables slowly


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def place(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """Return the place of an empty catalog."""
    if database == "sqlite":
        return Place(str(tmp_path / "Katalog ü.db"), None)
    server: MariaDBServer = request.getfixturevalue("mariadb")
    place = Place(server.url(SHARED), server.password)
    place.open().close()
    for table in reversed(METADATA.sorted_tables):
        server.run(f"DELETE FROM {SHARED}.{table.name}")  # noqa: S608  # our own names
    return place


@pytest.fixture
def fresh(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[], Place]]:
    """Return a function that creates places without tables."""
    names: list[str] = []
    server: MariaDBServer | None = None
    if database == "mariadb":
        server = request.getfixturevalue("mariadb")

    def fresh() -> Place:
        names.append(f"fresh_{len(names)}")
        if server is None:
            return Place(str(tmp_path / f"{names[-1]}.db"), None)
        return Place(server.url(names[-1]), server.password)

    yield fresh
    for name in names if server else ():
        server.drop(name)


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    with place.open() as catalog:
        yield catalog
