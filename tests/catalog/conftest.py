"""A catalogue's place in each database, empty: SQLite in a new file, MariaDB wiped."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgsearch.catalog import Catalog
from imgsearch.catalog.tables import METADATA
from tests.catalog.places import Place
from tests.services.mariadb_server import MariaDBServer

DATABASES = ("sqlite", "mariadb")
SHARED = "imgsearch_tests"  # made once: a server is slow at making tables


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def place(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """Return where an empty catalogue lies."""
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
    """Return what makes places without any table."""
    made: list[str] = []
    server: MariaDBServer | None = None
    if database == "mariadb":
        server = request.getfixturevalue("mariadb")

    def fresh() -> Place:
        made.append(f"fresh_{len(made)}")
        if server is None:
            return Place(str(tmp_path / f"{made[-1]}.db"), None)
        return Place(server.url(made[-1]), server.password)

    yield fresh
    for name in made if server else ():
        server.drop(name)


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    with place.open() as catalog:
        yield catalog
