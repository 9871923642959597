"""Reads and writes rows of any Milvus collection, in the format of public Towhee code.

In contrast to `MilvusCollection`, a row is a list of values in the schema's order, and ids and
distances are returned unchanged.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from imgsearch.backends import connect
from imgsearch.backends.checks import check_vectors
from imgsearch.backends.milvus.address import Address
from imgsearch.backends.milvus.flusher import Flusher
from imgsearch.backends.milvus.full_text import SPARSE, WORDS
from imgsearch.backends.rows import Inserted, matrix
from imgsearch.backends.schema import Schema
from imgsearch.errors import BackendError, CollectionNotFound, ConfigError, FieldInvalid
from imgsearch.types import MAX_K

if TYPE_CHECKING:
    from imgsearch.backends.milvus.backend import Backend

_ROWS: Final = 1_000  # rows in a message, fewer for long vectors
_FLOATS: Final = 4 * 2**20  # floats in a message: 16 MB; servers accept 64 MB
# the search parameters of Towhee Hub's operator; HNSW rejects an ef below the limit
_PARAMS: Final[Mapping[str, Mapping[str, int]]] = {
    "IVF_FLAT": {"nprobe": 10}, "IVF_SQ8": {"nprobe": 10}, "IVF_PQ": {"nprobe": 10},
    "HNSW": {"ef": 10},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    dim: int  # 0 if the column is not a float vector
    key: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """The columns of a collection that an insert must fill, and its indexes.

    If `auto_id` is True, Milvus generates the keys. `indexes` maps a vector's name to index kind
    and metric.
    """

    columns: list[_Column]
    auto_id: bool
    indexes: Mapping[str, tuple[str, str]]
    divided: bool = False  # by a partition key

    @property
    def key(self) -> str:
        """The primary key's name, or "" if Milvus generates the keys."""
        return next((column.name for column in self.columns if column.key), "")

    @property
    def step(self) -> int:
        """The number of rows in a message."""
        floats = sum(column.dim for column in self.columns)
        return max(1, min(_ROWS, _FLOATS // max(1, floats)))

    def vector(self, name: str | None) -> _Column:
        """Return the vector column with this name, or the first vector column if `name` is None.

        Raises:
            FieldInvalid: the vector does not exist.
        """
        vectors = [column for column in self.columns if column.dim]
        for column in vectors:
            if name in (None, column.name):
                return column
        known = ", ".join(column.name for column in vectors)
        raise FieldInvalid(f"vector {name or ''!r} does not exist. Known: {known or 'none'}.")


class MilvusRows:
    """A Milvus collection created by any program, opened at the first use. Thread-safe.

    The store stays open until the process ends. If the program also uses the embedded store through
    pymilvus, closing it here would close the program's client, too.
    """

    def __init__(self, address: Address, collection: str | None, *, timeout: float) -> None:
        if not collection:
            raise ConfigError("collection_name is missing. Pass the name of the collection.")
        self.name, self._address, self._timeout = collection, address, timeout
        self._opening = threading.Lock()
        self._store: Backend | None = None
        self._shape: _Shape | None = None
        self._searchable = False
        self._flusher = Flusher(self._flush)

    def insert(self, *values: Any) -> Inserted:
        """Write one or more rows, with columns in the schema's order. Searchable on return.

        Pass one row as one value for each column, as a list of values, or as values and lists
        mixed. Pass several rows as one list for each column, all with the same length, or as a list
        of rows. Omit a key that Milvus generates (auto_id). A row replaces the row with the same
        key.

        Raises:
            CollectionNotFound: the collection does not exist.
            FieldInvalid: the values do not match the columns.
            DimensionMismatch, VectorInvalid: as for `imgsearch.backends.Collection.upsert`.
            BackendError: Milvus rejected rows.
        """
        store, known = self._open(), self._shape
        shape = known or self._describe(store)
        try:
            rows = _rows(self.name, shape, values)
        except BackendError:
            if known is None:
                raise
            shape = self._describe(store)  # another collection may have the name now
            rows = _rows(self.name, shape, values)
        keys: list[int | str] = []
        # lite's insert replaces the row with the same key, a server's keeps both
        plain = shape.auto_id or store.connection.path is not None
        if shape.divided and not plain:
            store.require_partitions()
        for start in range(0, len(rows), shape.step):
            part = rows[start : start + shape.step]
            with store.calling() as client:
                write = client.insert if plain else client.upsert
                result = write(self.name, part, timeout=store.connection.timeout)
            if result["insert_count" if plain else "upsert_count"] != len(part):
                raise BackendError(
                    f"collection {self.name!r} wrote fewer than {len(part)} rows: {result}"
                )
            if store.connection.path is None:  # lite counts rows before they are flushed
                self._flusher.add(len(part))
            keys += result["ids"] if shape.auto_id else [row[shape.key] for row in part]
        return Inserted(len(keys), keys)

    def end_run(self) -> None:
        """Flush inserted rows now or soon, so that `num_entities` counts them; see `Flusher`."""
        self._flusher.end_run()

    def flush(self) -> None:
        """Flush inserted rows now.

        Raises:
            BackendError: the flush failed.
        """
        self._flusher.flush()

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
        """Return rows of ``id, distance, *output_fields`` for each query, nearest first.

        `vectors` are queries of shape (n, d), or one of shape (d,). The distance is Milvus' own: a
        similarity for cosine and inner product. `param` is ``{"params": {"nprobe": 16}}`` or
        ``{"nprobe": 16}``. Defaults: nprobe = 10, and ef = 10 or `limit` if that is larger.

        Raises:
            CollectionNotFound: the collection does not exist.
            ConfigError: `limit` is not in 1 to 16,384, or `metric_type` is not the index's metric.
            DimensionMismatch, VectorInvalid: as for `imgsearch.backends.Collection.search`.
            FieldInvalid: the vector `anns_field` does not exist.
            BackendError: Milvus rejected the search.
        """
        if not 1 <= limit <= MAX_K:
            raise ConfigError(f"limit must be in 1 to {MAX_K:,}, not {limit}")
        store = self._open()

        def send(shape: _Shape) -> Any:
            target = shape.vector(anns_field)
            queries = check_vectors(Schema(target.dim), matrix(vectors))
            with store.calling() as client:
                return client.search(
                    self.name,
                    list(queries),
                    filter=expr or "",
                    limit=limit,
                    output_fields=list(output_fields),
                    search_params=search_params(
                        shape.indexes.get(target.name), limit, param, metric_type
                    ),
                    anns_field=target.name,
                    partition_names=list(partition_names) if partition_names else None,
                    consistency_level="Session",
                    timeout=store.connection.timeout,
                )

        known = self._shape if self._searchable else None
        try:
            results = send(known or self._load(store))
        except (BackendError, ConfigError):
            if known is None:
                raise
            results = send(self._load(store))  # the collection was released or replaced
        return [
            [[hit.id, hit.distance, *map(hit.fields.get, output_fields)] for hit in hits]
            for hits in results
        ]

    def _flush(self) -> None:
        store = self._open()
        with store.calling() as client:
            client.flush(self.name, timeout=store.connection.long)

    def _open(self) -> "Backend":
        with self._opening:
            if self._store is None:
                address = self._address
                store = connect(address.url, token=address.credentials, timeout=self._timeout)
                self._store = cast("Backend", store)
            return self._store

    def _load(self, store: "Backend") -> _Shape:
        """Load the collection for searches, and return its shape."""
        shape = self._describe(store)
        with store.calling() as client:
            client.load_collection(self.name, timeout=store.connection.long)
        self._searchable = True
        return shape

    def _describe(self, store: "Backend") -> _Shape:
        with store.calling() as client:
            if not client.has_collection(self.name, timeout=store.connection.timeout):
                raise CollectionNotFound(f"no collection {self.name!r} in {store.url}")
            description = client.describe_collection(self.name, timeout=store.connection.timeout)
            indexes = [
                client.describe_index(self.name, name, timeout=store.connection.timeout)
                for name in client.list_indexes(self.name)
            ]
        self._shape = _shape(description, indexes)
        return self._shape


def _shape(description: Mapping[str, Any], indexes: Sequence[Mapping[str, Any]]) -> _Shape:
    columns: list[_Column] = []
    auto_id = False
    for field in description["fields"]:
        key = bool(field.get("is_primary"))
        if key and (field.get("auto_id") or description.get("auto_id")):
            auto_id = True
            continue
        if field["name"] in (WORDS, SPARSE):  # of a collection that imgsearch created
            continue
        vector = field["type"].name == "FLOAT_VECTOR"
        columns.append(_Column(field["name"], int(field["params"]["dim"]) if vector else 0, key))
    kinds = {
        str(index["field_name"]): (str(index["index_type"]), str(index["metric_type"]))
        for index in indexes
        if index.get("metric_type")
    }
    divided = any(field.get("is_partition_key") for field in description["fields"])
    return _Shape(columns, auto_id, kinds, divided)


def _rows(collection: str, shape: _Shape, values: Sequence[Any]) -> list[dict[str, Any]]:
    """Convert `values` to rows by column name. Of rows with the same key, only the last is kept.

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


def search_params(
    index: tuple[str, str] | None,
    limit: int,
    param: Mapping[str, Any] | None,
    metric_type: str | None,
) -> dict[str, Any]:
    """Return the search parameters for an index, which is a kind and a metric.

    Raises:
        ConfigError: `metric_type` is not the index's metric.
    """
    kind, metric = index or ("", "L2")
    options = dict(param or {})
    requested = str(options.pop("metric_type", None) or metric_type or metric).upper()
    if index and requested != metric:
        raise ConfigError(
            f"metric_type {requested} is invalid: the index has {metric}. Use that metric."
        )
    params = dict(options.pop("params", None) or options)
    if not params:
        params = dict(_PARAMS.get(kind, {}))
        if "ef" in params:
            params["ef"] = max(params["ef"], limit)
    return {"metric_type": requested, "params": params}


def _lists(columns: list[_Column], values: Sequence[Any]) -> list[list[Any]]:
    """Split `values` into rows; see `MilvusRows.insert`."""
    if len(values) == 1 and len(columns) > 1:
        (only,) = values
        if isinstance(only, list | tuple) and only and isinstance(only[0], list | tuple):
            return [list(row) for row in only]
    elif len(values) == len(columns):
        place = next((place for place, column in enumerate(columns) if column.dim), 0)
        if isinstance(values[place], list | np.ndarray) and np.ndim(values[place][:1]) > 1:
            if len({len(column) for column in values}) > 1:
                lengths = [len(column) for column in values]
                raise FieldInvalid(
                    f"columns have the lengths {lengths}. Pass columns of one length."
                )
            return [list(row) for row in zip(*values, strict=True)]
        return [list(values)]
    row: list[Any] = []
    for value in values:
        row += value if isinstance(value, list | tuple) else [value]
    return [row]


def _stored(column: _Column, value: Any) -> Any:
    """Convert a value for Milvus: check vectors, and convert NumPy scalars to builtin types."""
    if column.dim:
        return check_vectors(Schema(column.dim), matrix(value))[0]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise FieldInvalid(f"column {column.name!r}: {value} is not a finite number")
    return value
