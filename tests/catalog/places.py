"""Places of catalogs, sample entries, and processes that use a catalog."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from imgsearch.catalog import Catalog, Entry
from imgsearch.catalog.database import Database

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """A catalog's URL and password."""

    url: str
    password: str | None

    def open(self, **options: Any) -> Catalog:
        return Catalog(self.url, password=self.password, **options)

    @contextmanager
    def opened(self) -> Iterator[Database]:
        """Yield the database without migrating its tables."""
        database = Database(self.url, password=self.password, timeout=10)
        try:
            yield database
        finally:
            database.close()

    def run(self, script: str) -> "subprocess.Popen[str]":
        """Start a process that has `catalog` open."""
        head = (
            "import sys\n"
            "from imgsearch.catalog import *\n"
            "from tests.catalog.places import *\n"
            f"catalog = Catalog({self.url!r}, password={self.password!r})\n"
        )
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", head + script],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def content(number: int) -> str:
    """Return the hash of some bytes."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def entry(number: int, **values: Any) -> Entry:
    """Return an entry of its own content, created `number` seconds after noon."""
    given = {
        "id": f"id-{number:05}",
        "collection": "photos",
        "content": content(number),
        "name": f"Größe {number}.jpg",
        "created": NOON + timedelta(seconds=number),
    }
    return Entry(**given | values)


def removed(catalog: Catalog, *ids: str) -> None:
    """Delete entries that have no vectors or originals."""
    catalog.mark_deleting(ids)
    catalog.forget(ids)
