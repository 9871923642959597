"""Databases, collections and documents, in memory or in a persistent folder.

Each change is an event that is checked, written to the folder's journal, and applied. Opening a
folder replays its events.
"""

import base64
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imgsearch.testing.tencent.codes import NO_COLLECTION, NO_DATABASE, Refused
from imgsearch.testing.tencent.faults import Faults
from imgsearch.testing.tencent.journal import Journal
from imgsearch.testing.tencent.schema import Document, Floats, Schema, schema

Event = Mapping[str, Any]


class View:
    """A snapshot of a collection's documents, in insertion order."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self.documents = documents

    @cached_property
    def matrix(self) -> Floats:
        """All vectors, shape (n, d)."""
        return np.stack([document.vector for document in self.documents.values()])


class Collection:
    """A collection, guarded by the store's lock."""

    def __init__(self, event: Event) -> None:
        self.name: str = event["collection"]
        self.created: float = event["time"]  # Unix time in seconds
        self.declared: Mapping[str, Any] = event["declared"]
        self.schema: Schema = schema(self.declared["indexes"])
        self.documents: dict[str, Document] = {}
        self.building: float = 0  # number of further calls that see the index being built
        self.unindexed: set[str] = set()  # ids that were written without indexing, until a rebuild
        self._now: View | None = None
        self._before: View | None = None  # the old view, for eventual reads while they lag
        self._lag: float = 0

    def wider(self, indexes: Sequence[Mapping[str, Any]]) -> "Collection":
        """Return a copy of the collection with further filter indexes.

        Raises:
            Refused: an index is invalid or exists, or a document has a value of another type.
        """
        declared = {**self.declared, "indexes": [*self.declared["indexes"], *indexes]}
        event = {"collection": self.name, "time": self.created, "declared": declared}
        wider = Collection(event)
        wider.put(
            replace(document, fields=wider.schema.fields(document.fields))
            for document in self.documents.values()
        )
        return wider

    def widen(self, indexes: Sequence[Mapping[str, Any]]) -> None:
        """Add filter indexes, as checked by `wider`."""
        wider = self.wider(indexes)
        self.declared, self.schema, self.documents = wider.declared, wider.schema, wider.documents
        self._now = None

    def view(self, *, strong: bool = True) -> View:
        """Return the documents that a read sees. Each eventual read reduces the lag by one."""
        if not strong and self._before:
            before, self._lag = self._before, self._lag - 1
            if self._lag <= 0:
                self._before = None
            return before
        self._now = self._now or View(dict(self.documents))
        return self._now

    def delay(self, reads: float) -> None:
        """Hide the next change from the next `reads` eventual reads."""
        if reads > 0:
            self._before, self._lag = self._before or self.view(), reads

    def put(self, documents: Iterable[Document]) -> None:
        """Insert or replace documents by id."""
        self._now = None
        self.documents.update((document.id, document) for document in documents)

    def remove(self, ids: Iterable[str]) -> None:
        """Delete documents, which must exist."""
        self._now = None
        for id_ in ids:
            del self.documents[id_]

    def truncate(self) -> None:
        """Delete all documents."""
        self._now = None
        self.documents.clear()

    def is_building(self) -> bool:
        """Return whether a call sees the index being built. Each call reduces the count by one."""
        building, self.building = self.building > 0, max(0, self.building - 1)
        return building

    def settle(self) -> None:
        """Complete the index, and make all changes visible."""
        self._before, self._lag, self.building = None, 0, 0


class Database:
    """A database: collections by name, and collection names by alias."""

    def __init__(self, event: Event) -> None:
        self.created: float = event["time"]
        self.collections: dict[str, Collection] = {}
        self.aliases: dict[str, str] = {}

    def aliases_of(self, collection: str) -> list[str]:
        """Return the aliases of a collection, sorted."""
        return sorted(alias for alias, name in self.aliases.items() if name == collection)


class Store:
    """All databases. Callers must hold `lock` from their first read to their last change."""

    def __init__(self, faults: Faults, folder: Path | None = None) -> None:
        self.faults, self.lock = faults, threading.RLock()
        self.databases: dict[str, Database] = {}
        self._journal = Journal(folder) if folder else None
        for event in self._journal.events() if self._journal else ():
            self._apply(event)

    def database(self, name: str) -> Database:
        """Return a database by name.

        Raises:
            Refused: 15301, the database does not exist.
        """
        if name not in self.databases:
            raise Refused(NO_DATABASE, f"Database not exist: {name}")
        return self.databases[name]

    def collection(self, database: str, name: str, *, alias: bool = True) -> Collection:
        """Return a collection by name, or by alias if `alias` is True.

        Raises:
            Refused: 15301, the database does not exist; 15302, the collection does not exist.
        """
        parent = self.database(database)
        real = parent.aliases.get(name, name) if alias else name
        if real not in parent.collections:
            raise Refused(NO_COLLECTION, f"Collection not exist: {database}.{name}")
        return parent.collections[real]

    def change(self, do: str, database: str, collection: str = "", **facts: Any) -> None:
        """Write a change to the journal and apply it. `facts` are further values of the event.

        Raises:
            OSError: the journal cannot be written. The change was not applied.
        """
        event = {"do": do, "database": database, "collection": collection, "time": time.time()}
        event |= facts
        if self._journal:
            self._journal.append(event)
        self._apply(event)

    def put(self, database: str, collection: Collection, documents: list[Document]) -> None:
        """Insert or replace documents."""
        if not documents:
            return
        if self._journal:
            event = {"do": "put", "database": database, "collection": collection.name}
            self._journal.append(event | {"documents": [*map(_pack, documents)]})
        collection.delay(self.faults.lag)
        collection.put(documents)

    def remove(self, database: str, collection: Collection, ids: list[str]) -> None:
        """Delete documents, which must exist."""
        if ids:
            collection.delay(self.faults.lag)
            self.change("remove", database, collection.name, ids=ids)

    def settle(self) -> None:
        """Make all writes visible, and complete all indexes."""
        with self.lock:
            for database in self.databases.values():
                for collection in database.collections.values():
                    collection.settle()

    def close(self) -> None:
        """Release the folder."""
        if self._journal:
            self._journal.close()

    def _apply(self, event: Event) -> None:
        if event["do"] == "create database":
            self.databases[event["database"]] = Database(event)
        elif event["do"] == "drop database":
            del self.databases[event["database"]]
        else:
            _APPLY[event["do"]](self.databases[event["database"]], event)


def _drop(database: Database, event: Event) -> None:
    del database.collections[event["collection"]]
    for alias in database.aliases_of(event["collection"]):
        del database.aliases[alias]


_APPLY: Mapping[str, Callable[[Database, Event], Any]] = {
    "create": lambda db, event: db.collections.update({event["collection"]: Collection(event)}),
    "drop": _drop,
    "add indexes": lambda db, event: db.collections[event["collection"]].widen(event["indexes"]),
    "truncate": lambda db, event: db.collections[event["collection"]].truncate(),
    "put": lambda db, event: db.collections[event["collection"]].put(
        map(_unpack, event["documents"])
    ),
    "remove": lambda db, event: db.collections[event["collection"]].remove(event["ids"]),
    "set alias": lambda db, event: db.aliases.update({event["alias"]: event["collection"]}),
    "delete alias": lambda db, event: db.aliases.pop(event["alias"]),
}


def _pack(document: Document) -> Event:
    """Convert a document for JSON. The vector becomes base64 of little-endian float32."""
    vector = base64.b64encode(document.vector.astype("<f4").tobytes()).decode()
    return {"id": document.id, "vector": vector, "fields": document.fields}


def _unpack(event: Event) -> Document:
    vector = np.frombuffer(base64.b64decode(event["vector"]), dtype="<f4").astype(np.float32)
    return Document(event["id"], vector, event["fields"])
