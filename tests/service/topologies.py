"""Topologies of a service: all data in one folder, or on the servers of a team.

A conftest.py imports the fixtures: ``from tests.service.topologies import team, topology``.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from pymilvus import MilvusClient

from tests.services.mariadb_server import MariaDBServer
from tests.services.swift_server import KEY

NAMES = ("plain", "team")
_numbers = itertools.count()


@dataclass(frozen=True)
class Topology:
    """Three empty stores with their URLs and secrets. Secrets are not shown."""

    name: str
    db: str
    catalog: str
    objects: str
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `imgsearch.archive.opened` except its folder."""
        return {
            "db": self.db,
            "token": self.token,
            "catalog": self.catalog,
            "catalog_password": self.password,
            "originals": self.objects,
            "s3_key": self.key,
            "s3_secret": self.secret,
        }

    def environment(self) -> dict[str, str]:
        """Return the environment variables equal to `arguments`."""
        variables = {
            "IMGSEARCH_DB": self.db,
            "IMGSEARCH_MILVUS_TOKEN": self.token,
            "IMGSEARCH_CATALOG": self.catalog,
            "IMGSEARCH_CATALOG_PASSWORD": self.password,
            "IMGSEARCH_OBJECTS": self.objects,
            "IMGSEARCH_S3_KEY": self.key,
            "IMGSEARCH_S3_SECRET": self.secret,
        }
        return {name: value for name, value in variables.items() if value}


def plain(folder: Path) -> Topology:
    """Return an embedded Milvus, SQLite and originals in `folder`, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    return Topology(
        "plain", str(folder / "vectors.db"), str(folder / "catalog.db"), str(folder / "originals")
    )


class Team:
    """A Milvus server, MariaDB and Swift, shared by many topologies.

    Each topology has a database in Milvus, one in MariaDB, and a prefix in a bucket. `close` drops
    the databases: Milvus allows 64, and keeps their data in memory.
    """

    def __init__(self, milvus: tuple[str, str], mariadb: MariaDBServer, swift: tuple[str, str]):
        url, self._token = milvus
        self._host = urlsplit(url).netloc
        self._milvus = MilvusClient(uri=f"http://{self._host}", token=self._token)
        self._mariadb = mariadb
        self._endpoint, self._secret = swift
        self._made: list[str] = []

    def topology(self) -> Topology:
        """Return an unused topology."""
        name = f"service_{next(_numbers)}"
        self._milvus.create_database(name)
        self._made.append(name)
        return Topology(
            "team",
            db=f"milvus://{self._host}/{name}",
            token=self._token,
            catalog=self._mariadb.url(name),
            password=self._mariadb.password,
            objects=f"s3://originals/{quote('größe 图')}/{name}?endpoint={self._endpoint}&create=1",
            key=KEY,
            secret=self._secret,
        )

    def drop(self, topology: Topology) -> None:
        """Drop a topology's databases. Idempotent."""
        name = topology.db.rpartition("/")[2]
        if name not in self._made:
            return
        self._made.remove(name)
        inside = MilvusClient(uri=f"http://{self._host}", token=self._token, db_name=name)
        for collection in inside.list_collections():
            inside.drop_collection(collection)
        inside.close()
        self._milvus.drop_database(name)
        self._mariadb.run(f"DROP DATABASE `{name}`")

    def close(self) -> None:
        self._milvus.close()


@pytest.fixture(scope="session")
def team(
    servers: None, place_of: Callable[[str], tuple[str, str]], request: pytest.FixtureRequest
) -> Iterator[Team]:
    """Return a team's servers, started once. A missing server skips or fails: see `at_hand`."""
    milvus, swift = place_of("milvus"), place_of("swift")
    running = Team(milvus, request.getfixturevalue("mariadb"), swift)
    yield running
    running.close()


@pytest.fixture(params=NAMES)
def topology(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Topology]:
    """Return each topology in turn, empty."""
    if request.param == "plain":
        yield plain(tmp_path / "größe")
        return
    team = request.getfixturevalue("team")
    empty = team.topology()
    yield empty
    team.drop(empty)
