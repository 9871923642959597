"""Rows of any Milvus collection by the places of their values, as public Towhee code passes them.

`MilvusCollection` speaks in records; here a row is a list of values in the schema's order, and ids
and distances are Milvus' own. The driver itself stays in `milvus`.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from imgsearch.arguments import MAX_K
from imgsearch.backends import connect
from imgsearch.backends.checks import check_vectors
from imgsearch.backends.milvus.address import Address
from imgsearch.backends.rows import Inserted, matrix
from imgsearch.backends.schema import Schema
from imgsearch.errors import BackendError, CollectionNotFound, ConfigError, FieldInvalid

if TYPE_CHECKING:
    from imgsearch.backends.milvus.backend import Backend

_LOADING: Final = 600.0  # seconds; it grows with the collection
_ROWS: Final = 1_000  # rows a message, fewer where vectors are long
_FLOATS: Final = 4 * 2**20  # … so that it is 16 MB at most: servers take 64
# what the hub's own operator searched with; an HNSW index takes no less than the limit
_PARAMS: Final[Mapping[str, Mapping[str, int]]] = {
    "IVF_FLAT": {"nprobe": 10}, "IVF_SQ8": {"nprobe": 10}, "IVF_PQ": {"nprobe": 10},
    "HNSW": {"ef": 10},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    dim: int  # 0: no float vector
    key: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """What Milvus tells of a collection: the columns that are given values, and its indexes.

    `made`: Milvus makes the keys. `indexes`: a vector's name → kind and metric of its index.
    """

    columns: list[_Column]
    made: bool
    indexes: Mapping[str, tuple[str, str]]

    @property
    def key(self) -> str:
        """The primary key's name, "" where Milvus makes it."""
        return next((column.name for column in self.columns if column.key), "")

    @property
    def step(self) -> int:
        """How many rows go into one message."""
        floats = sum(column.dim for column in self.columns)
        return max(1, min(_ROWS, _FLOATS // max(1, floats)))

    def vector(self, name: str | None) -> _Column:
        """Return the vector of that name, the first for None.

        Raises:
            FieldInvalid: there is none.
        """
        vectors = [column for column in self.columns if column.dim]
        for column in vectors:
            if name in (None, column.name):
                return column
        known = ", ".join(column.name for column in vectors)
        raise FieldInvalid(f"there is no vector {name or ''!r}; there are: {known or 'none'}")


class MilvusRows:
    """One collection of any make, opened at its first use and shared with the process. Thread-safe.

    The store stays open as long as the process: a program that uses the embedded file through
    pymilvus too would find its own client closed.
    """

    def __init__(self, address: Address, collection: str | None, *, timeout: float) -> None:
        if not collection:
            raise ConfigError("collection_name is missing: which collection is it?")
        self.name, self._address, self._timeout = collection, address, timeout
        self._opening = threading.Lock()
        self._store: Backend | None = None
        self._shape: _Shape | None = None
        self._searchable = False

    def insert(self, *values: Any) -> Inserted:
        """Write a row, or many, given by column in the schema's order; searchable on return.

        A key that Milvus makes itself (auto_id) is left out. One value for each column is a row,
        and so are a list of these and a mixture of values and lists. Lists of one length for each
        column are so many rows, written in one call, and so is a list of rows. A row replaces the
        one of the same key.

        Raises:
            CollectionNotFound: there is none of this name.
            FieldInvalid: the values do not go with the columns.
            DimensionMismatch, VectorInvalid: as for `imgsearch.backends.Collection.upsert`.
            BackendError: Milvus refused, or took fewer rows.
        """
        store, known = self._open(), self._shape
        shape = known or self._described(store)
        try:
            rows = _rows(self.name, shape, values)
        except BackendError:
            if known is None:
                raise
            shape = self._described(store)  # it may be another collection of that name by now
            rows = _rows(self.name, shape, values)
        keys: list[int | str] = []
        # lite's insert replaces the row of the same key, a server's keeps both
        plain = shape.made or store.connection.path is not None
        for start in range(0, len(rows), shape.step):
            part = rows[start : start + shape.step]
            with store.calling() as client:
                write = client.insert if plain else client.upsert
                answer = write(self.name, part, timeout=store.connection.timeout)
            if answer["insert_count" if plain else "upsert_count"] != len(part):
                raise BackendError(f"{self.name!r} took fewer than the {len(part)} rows: {answer}")
            keys += answer["ids"] if shape.made else [row[shape.key] for row in part]
        return Inserted(len(keys), keys)

    def search(
        self,
        vectors: Any,
        *,
        limit: int = 10,
        output_fields: Sequence[str] = (),
        param: Mapping[str, Any] | None = None,
        metric_type: str | None = None,
        anns_field: str | None = None,
        expr: str | None = None,
        partition_names: Sequence[str] | None = None,
    ) -> list[list[list[Any]]]:
        """Return for each of `vectors`, (n, d) or (d,), rows of ``id, distance, *output_fields``.

        Nearest first; the distance is Milvus' own, a similarity for cosine and inner product. The
        metric is the index's. `param` is ``{"params": {"nprobe": 16}}`` or ``{"nprobe": 16}``;
        without it nprobe and ef are 10, ef no less than `limit`.

        Raises:
            CollectionNotFound: there is none of this name.
            ConfigError: `limit` is not in 1 to 16,384, or the index has another metric than
                `metric_type`.
            DimensionMismatch, VectorInvalid: as for `imgsearch.backends.Collection.search`.
            FieldInvalid: there is no vector `anns_field`.
            BackendError: Milvus refused.
        """
        if not 1 <= limit <= MAX_K:
            raise ConfigError(f"limit must be in 1 to {MAX_K:,}, not {limit}")
        store = self._open()

        def ask(shape: _Shape) -> Any:
            target = shape.vector(anns_field)
            queries = check_vectors(Schema(target.dim), matrix(vectors))
            with store.calling() as client:
                return client.search(
                    self.name,
                    list(queries),
                    filter=expr or "",
                    limit=limit,
                    output_fields=list(output_fields),
                    search_params=_params(
                        shape.indexes.get(target.name), limit, param, metric_type
                    ),
                    anns_field=target.name,
                    partition_names=list(partition_names) if partition_names else None,
                    consistency_level="Session",
                    timeout=store.connection.timeout,
                )

        known = self._shape if self._searchable else None
        try:
            answers = ask(known or self._loaded(store))
        except (BackendError, ConfigError):
            if known is None:
                raise
            answers = ask(self._loaded(store))  # it was released, or is another one by now
        return [
            [[hit.id, hit.distance, *map(hit.fields.get, output_fields)] for hit in answer]
            for answer in answers
        ]

    def _open(self) -> "Backend":
        with self._opening:
            if self._store is None:
                address = self._address
                store = connect(address.url, token=address.credentials, timeout=self._timeout)
                self._store = cast("Backend", store)
            return self._store

    def _loaded(self, store: "Backend") -> _Shape:
        """Load the collection, ready to be searched, and return its shape."""
        shape = self._described(store)
        with store.calling() as client:
            client.load_collection(self.name, timeout=_LOADING)
        self._searchable = True
        return shape

    def _described(self, store: "Backend") -> _Shape:
        with store.calling() as client:
            if not client.has_collection(self.name, timeout=store.connection.timeout):
                raise CollectionNotFound(f"no collection {self.name!r} in {store.url}")
            described = client.describe_collection(self.name, timeout=store.connection.timeout)
            indexes = [
                client.describe_index(self.name, name, timeout=store.connection.timeout)
                for name in client.list_indexes(self.name)
            ]
        self._shape = _shape(described, indexes)
        return self._shape


def _shape(described: Mapping[str, Any], indexes: Sequence[Mapping[str, Any]]) -> _Shape:
    columns: list[_Column] = []
    made = False
    for each in described["fields"]:
        key = bool(each.get("is_primary"))
        if key and (each.get("auto_id") or described.get("auto_id")):
            made = True
            continue
        vector = each["type"].name == "FLOAT_VECTOR"
        columns.append(_Column(each["name"], int(each["params"]["dim"]) if vector else 0, key))
    kinds = {
        str(index["field_name"]): (str(index["index_type"]), str(index["metric_type"]))
        for index in indexes
        if index.get("metric_type")
    }
    return _Shape(columns, made, kinds)


def _rows(collection: str, shape: _Shape, values: Sequence[Any]) -> list[dict[str, Any]]:
    """Return rows by column, the last of each key.

    Raises:
        FieldInvalid, DimensionMismatch, VectorInvalid: as for `MilvusRows.insert`.
    """
    lists = _lists(shape.columns, values)
    wrong = next((row for row in lists if len(row) != len(shape.columns)), None)
    if wrong is not None:
        names = ", ".join(column.name for column in shape.columns)
        raise FieldInvalid(
            f"collection {collection!r} takes {len(shape.columns)} values a row ({names}), "
            f"got {len(wrong)}"
        )
    rows = [
        {
            column.name: _stored(column, value)
            for column, value in zip(shape.columns, row, strict=True)
        }
        for row in lists
    ]
    return list({row[shape.key]: row for row in rows}.values()) if shape.key else rows


def _params(
    index: tuple[str, str] | None,
    limit: int,
    param: Mapping[str, Any] | None,
    metric_type: str | None,
) -> dict[str, Any]:
    """Return the search parameters; the index tells its metric and what it can be told."""
    kind, metric = index or ("", "L2")
    given = dict(param or {})
    asked = str(given.pop("metric_type", None) or metric_type or metric).upper()
    if index and asked != metric:
        raise ConfigError(f"the index is of {metric}: it cannot be searched by {asked}")
    chosen = dict(given.pop("params", None) or given)
    if not chosen:
        chosen = dict(_PARAMS.get(kind, {}))
        if "ef" in chosen:
            chosen["ef"] = max(chosen["ef"], limit)
    return {"metric_type": asked, "params": chosen}


def _lists(columns: list[_Column], values: Sequence[Any]) -> list[list[Any]]:
    """Return the rows that `values` stand for; see `MilvusRows.insert`."""
    if len(values) == 1 and len(columns) > 1:
        (only,) = values
        if isinstance(only, list | tuple) and only and isinstance(only[0], list | tuple):
            return [list(row) for row in only]
    elif len(values) == len(columns):
        place = next((place for place, column in enumerate(columns) if column.dim), 0)
        if isinstance(values[place], list | np.ndarray) and np.ndim(values[place][:1]) > 1:
            if len({len(column) for column in values}) > 1:
                lengths = [len(column) for column in values]
                raise FieldInvalid(f"columns of one batch have one length, not {lengths}")
            return [list(row) for row in zip(*values, strict=True)]
        return [list(values)]
    row: list[Any] = []
    for value in values:
        row += value if isinstance(value, list | tuple) else [value]
    return [row]


def _stored(column: _Column, value: Any) -> Any:
    """Return a value as Milvus takes it: a checked vector, or a plain Python value."""
    if column.dim:
        return check_vectors(Schema(column.dim), matrix(value))[0]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise FieldInvalid(f"column {column.name!r}: {value} is no number to store")
    return value
