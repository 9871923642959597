"""Exact search in this process's memory. Tests use it as the reference for other stores."""

import threading
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.backends.base import Capabilities, VectorBackend, filled, require_schema
from imgsearch.backends.collection import Collection
from imgsearch.backends.exact import hit, similarities
from imgsearch.backends.identity import dropped_error, require_same
from imgsearch.backends.schema import METRICS, Schema
from imgsearch.errors import BackendError, CollectionNotFound, ConfigError
from imgsearch.filters import Filter, matches
from imgsearch.types import Hit, Matrix, Record, Value, check_name

QUERIES: Final = 256  # queries scored at once; 256 x 100,000 float64 scores take 205 MB


class Rows:
    """A collection's records: vectors in a matrix that doubles when full, ids and fields in lists.

    `shelf` holds all collections of the store, including a later one with the same name. Guarded by
    `lock`. When a row is deleted, the last row takes its place.
    """

    def __init__(self, schema: Schema, shelf: "Shelf") -> None:
        self.schema, self.shelf = schema, shelf
        self.lock = threading.RLock()
        self.dropped = False
        self.ids: list[str] = []
        self.fields: list[dict[str, Value]] = []
        self.places: dict[str, int] = {}
        self._matrix = np.empty((64, schema.dim), dtype=np.float32)

    @property
    def vectors(self) -> Matrix:
        """The vectors, shape (n, dim), in the order of `ids`."""
        return self._matrix[: len(self.ids)]

    def put(self, record: Record) -> None:
        """Replace the record with the same id, or append the record."""
        place = self.places.setdefault(record.id, len(self.ids))
        if place == len(self.ids):
            if place == len(self._matrix):
                # a concatenation would write to the free rows, which take no memory before that
                matrix = np.empty((2 * place, self.schema.dim), np.float32)
                matrix[:place] = self._matrix
                self._matrix = matrix
            self.ids.append(record.id)
            self.fields.append({})
        self._matrix[place] = record.vector
        self.fields[place] = dict(record.fields)

    def remove(self, id_: str) -> None:
        """Delete an existing record."""
        place, last = self.places.pop(id_), len(self.ids) - 1
        if place != last:
            self.ids[place], self.fields[place] = self.ids[last], self.fields[last]
            self._matrix[place] = self._matrix[last]
            self.places[self.ids[place]] = place
        self.ids.pop()
        self.fields.pop()

    def read(self, place: int, *, vectors: bool) -> Record:
        """Return a copy of the record in row `place`."""
        vector = self.vectors[place].copy() if vectors else None
        return Record(self.ids[place], vector, dict(self.fields[place]))


class Shelf:
    """A store's content: collections by name, and collection names by alias."""

    def __init__(self) -> None:
        self.collections: dict[str, Rows] = {}
        self.aliases: dict[str, str] = {}


class Backend(VectorBackend):
    """An in-memory store. Named stores stay in `stores` after `close`, until the process ends."""

    stores: ClassVar[dict[str, Shelf]] = {}
    _guard: ClassVar[threading.RLock] = threading.RLock()

    @override
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        del token, timeout  # for servers
        self.url = url
        self.capabilities = Capabilities(
            frozenset({"flat"}),
            persistent=False,
            shared=False,
            metrics=frozenset(METRICS),
            partitions=True,
        )
        name = url.partition("://")[2]
        self._shelf: Shelf | None
        with self._guard:
            self._shelf = self.stores.setdefault(name, Shelf()) if name else Shelf()

    @override
    def names(self) -> list[str]:
        with self._guard:
            return sorted(self._content().collections)

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        check_name(name)
        with self._guard:
            shelf = self._content()
            name = shelf.aliases.get(name, name)
            rows = shelf.collections.setdefault(name, Rows(schema, shelf))
        collection = MemoryCollection(name, rows)
        require_schema(collection, schema)
        return collection

    @override
    def open(self, name: str) -> Collection:
        with self._guard:
            shelf = self._content()
            name = shelf.aliases.get(name, name)
            rows = shelf.collections.get(name)
        if rows is None:
            raise CollectionNotFound(f"no collection {name!r} in {self.url}")
        return MemoryCollection(name, rows)

    @override
    def _declare(self, collection: Collection, schema: Schema) -> None:
        with self._guard:
            rows = self._content().collections[collection.name]
        with rows.lock:
            rows.fields = [filled(fields, schema) for fields in rows.fields]
            rows.schema = schema

    @override
    def drop(self, name: str) -> None:
        with self._guard:
            shelf = self._content()
            rows = shelf.collections.pop(name, None)
            shelf.aliases = {a: n for a, n in shelf.aliases.items() if n != name}
        if rows is None:
            raise CollectionNotFound(f"no collection {name!r} in {self.url}")
        with rows.lock:
            rows.dropped = True

    @override
    def set_alias(self, alias: str, name: str) -> None:
        check_name(alias)
        with self._guard:
            shelf = self._content()
            if alias in shelf.collections:
                raise ConfigError(f"alias {alias!r} is a collection's name. Choose another one.")
            name = shelf.aliases.get(name, name)
            if name not in shelf.collections:
                raise CollectionNotFound(f"no collection {name!r} in {self.url}")
            shelf.aliases[alias] = name

    @override
    def drop_alias(self, alias: str) -> None:
        with self._guard:
            if self._content().aliases.pop(alias, None) is None:
                raise CollectionNotFound(f"no alias {alias!r} in {self.url}")

    @override
    def _close(self) -> None:
        self._shelf = None

    def _content(self) -> Shelf:
        if self._shelf is None:
            raise BackendError(f"{self.url} is closed. Open it again.")
        return self._shelf


class MemoryCollection(Collection):
    """A collection with exact search by float64 matrix products. Recall is always 1."""

    def __init__(self, name: str, rows: Rows) -> None:
        super().__init__(name, rows.schema)
        self._all = rows

    @override
    def flush(self) -> None:
        self._rows()

    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        rows = self._rows()
        with rows.lock:
            for record in records:
                rows.put(record)

    @override
    def _search(
        self, queries: Matrix, *, k: int, where: Filter | None, effort: int | None
    ) -> list[list[Hit]]:
        rows = self._rows()
        with rows.lock:
            places = self._places(where)
            results: list[list[Hit]] = []
            for start in range(0, len(queries), QUERIES):
                scores = similarities(
                    queries[start : start + QUERIES], rows.vectors, places, self.schema.metric
                )
                results += [self._nearest(row, places, k) for row in scores]
            return results

    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        rows = self._rows()
        with rows.lock:
            return {
                id_: rows.read(rows.places[id_], vectors=vectors)
                for id_ in ids
                if id_ in rows.places
            }

    @override
    def _delete(self, ids: Sequence[str]) -> None:
        rows = self._rows()
        with rows.lock:
            for id_ in ids:
                if id_ in rows.places:  # another thread may have deleted it
                    rows.remove(id_)

    @override
    def _count(self, where: Filter | None) -> int:
        rows = self._rows()
        with rows.lock:
            return len(self._places(where))

    @override
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        rows = self._rows()
        with rows.lock:
            ids = [rows.ids[place] for place in self._places(where)]
        for start in range(0, len(ids), batch):
            yield from self._get(ids[start : start + batch], vectors=vectors).values()

    def _rows(self) -> Rows:
        if self._all.dropped:
            rows = self._all.shelf.collections.get(self.name)
            if rows is None:
                raise dropped_error(self.name, "memory://")
            require_same(self.name, self.schema, rows.schema)
            self._all, self.schema = rows, rows.schema
        return self._all

    def _places(self, where: Filter | None) -> npt.NDArray[np.intp]:
        """Return the row numbers that match `where`, ascending, shape (m,)."""
        if where is None:
            return np.arange(len(self._all.ids))
        places = (place for place, fields in enumerate(self._all.fields) if matches(where, fields))
        return np.fromiter(places, dtype=np.intp)

    def _nearest(
        self, scores: npt.NDArray[np.float64], places: npt.NDArray[np.intp], k: int
    ) -> list[Hit]:
        ascending = scores if self.schema.metric in ("l2", "hamming") else -scores
        kept = np.argpartition(ascending, k - 1)[:k] if k < len(places) else np.arange(len(places))
        kept = kept[np.lexsort((kept, ascending[kept]))]  # ties: the older row first
        return [
            hit(
                self.schema.metric,
                float(scores[at]),
                self._all.ids[places[at]],
                dict(self._all.fields[places[at]]),
                dim=self.schema.dim,
            )
            for at in kept
        ]
