"""Parquet files with vectors: written from a collection, and opened read-only with exact search.

The columns are "id", "vector" (a list of float32) and one for each field. The file's metadata holds
the schema under the key "imgsearch", with the encoder's fingerprint and recipe. A file of another
program needs the columns "id" and "vector"; its encoder is unknown. Vectors that cannot be compared
(null, zero or not finite) are left out.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import override

from imgsearch.backends.base import Capabilities
from imgsearch.backends.checks import can_compare
from imgsearch.backends.collection import Collection
from imgsearch.backends.columns import ARROW_TYPES
from imgsearch.backends.memory import MemoryCollection, Rows, Shelf
from imgsearch.backends.read_only import ReadOnlyBackend, ReadOnlyCollection
from imgsearch.backends.schema import METRICS, Index, Schema
from imgsearch.errors import (
    BackendError,
    CollectionNotFound,
    ImgSearchError,
    SchemaMismatch,
    SourceError,
    StoreReadOnly,
)
from imgsearch.fields import ZEROS, FieldType, can_filter
from imgsearch.types import Record, Value

KEY: Final = b"imgsearch"
NAME: Final = b"imgsearch.collection"
_DEFAULT: Final = "images"  # the name under which a file's only collection is opened
_BATCH: Final = 2_000  # rows in a row group: 16 MB of vectors with 2,048 dimensions


class Backend(ReadOnlyBackend):
    """One collection in a file, read into memory. All writes are refused."""

    @override
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        del token, timeout  # for servers
        self.url = url
        self.capabilities = Capabilities(
            frozenset({"flat"}), persistent=True, shared=True, metrics=frozenset(METRICS)
        )
        self._file = Path(url.partition("://")[2])
        self._name, self._rows = _read(self._file)

    @override
    def names(self) -> list[str]:
        return [self._name]

    @override
    def open(self, name: str) -> Collection:
        if name not in (self._name, _DEFAULT):
            raise CollectionNotFound(f"no collection {name!r} in {self.url}, only {self._name!r}")
        return ParquetCollection(name, self._rows, self.refusal)

    @override
    def _close(self) -> None:
        pass

    @property
    @override
    def refusal(self) -> StoreReadOnly:
        return StoreReadOnly(
            f"{self.url} cannot be written: a parquet file is read-only. Copy it first: "
            f"imgsearch copy {self._file.name} photos.db"
        )


class ParquetCollection(ReadOnlyCollection, MemoryCollection):
    """The collection of a file. `refusal` is the error of all writes."""

    def __init__(self, name: str, rows: Rows, refusal: StoreReadOnly) -> None:
        super().__init__(name, rows)
        self.refusal = refusal


class ReadRecords(Protocol):
    """A function that yields the records of a collection from the start."""

    def __call__(self, *, vectors: bool) -> Iterator[Record]:
        """Yield the records, with vectors or without."""


def write(
    file: str | os.PathLike[str], description: Schema, read: ReadRecords, *, name: str
) -> int:
    """Write the records of a collection to a parquet file; return their number.

    The file appears when it is complete. Undeclared fields are columns, too; one whose values have
    several types is a column of texts. The records are read twice.

    Raises:
        SourceError: the file cannot be written.
        BackendError: the store failed.
    """
    path = Path(file).expanduser()
    types = dict(description.fields) | _undeclared(description, read(vectors=False))
    columns = [("id", pa.string()), ("vector", pa.list_(pa.float32(), description.dim))]
    columns += [(field, ARROW_TYPES[kind]) for field, kind in types.items()]
    metadata = {KEY: description.to_json().encode(), NAME: name.encode()}
    schema = pa.schema(columns, metadata)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            partial = Path(folder) / path.name
            # a dictionary of ids or numbers, which do not repeat, would add a fifth to the file
            repeated = schema.names[2:]
            with pq.ParquetWriter(
                partial, schema, compression="zstd", use_dictionary=repeated
            ) as writer:
                count = _write_rows(writer, read(vectors=True), types, schema)
            partial.replace(path)
    except ImgSearchError:  # of `read`; some are an OSError or a ValueError, too
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be written: {why}") from error
    return count


def _undeclared(description: Schema, records: Iterable[Record]) -> dict[str, FieldType]:
    """Return the types of the fields that records have beside the declared ones."""
    kinds: dict[str, set[type]] = {}
    for record in records:
        for name, value in record.fields.items():
            if name not in description.fields:
                kinds.setdefault(name, set()).add(type(value))
    return {name: _common(types) for name, types in sorted(kinds.items())}


def _common(types: set[type]) -> FieldType:
    names: dict[type, FieldType] = {str: "str", int: "int", float: "float", bool: "bool"}
    if types == {int, float}:
        return "float"
    return names.get(next(iter(types)), "str") if len(types) == 1 else "str"


def _write_rows(
    writer: Any, records: Iterator[Record], types: Mapping[str, FieldType], schema: pa.Schema
) -> int:
    python: dict[FieldType, type] = {"str": str, "int": int, "float": float, "bool": bool}
    count = 0
    while part := list(islice(records, _BATCH)):
        vectors = np.array([record.vector for record in part], np.float32)
        flat = pa.array(vectors.reshape(-1), pa.float32())
        arrays = [
            pa.array([record.id for record in part], pa.string()),
            pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        ]
        for name, kind in types.items():
            values = (record.fields.get(name) for record in part)
            cells = [None if value is None else python[kind](value) for value in values]
            arrays.append(pa.array(cells, ARROW_TYPES[kind]))
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        count += len(part)
    return count


def _read(file: Path) -> tuple[str, Rows]:
    """Return the name and the rows of a file's collection.

    Raises:
        BackendError: the file cannot be read.
        SchemaMismatch: it has no vectors, or a newer imgsearch wrote it, or a column does not agree
            with its description, or an id is missing or occurs twice.
    """
    try:
        with pq.ParquetFile(file) as source:
            metadata = source.schema_arrow.metadata or {}
            schema = _schema(file, source.schema_arrow, metadata)
            rows = Rows(schema, Shelf())
            for batch in source.iter_batches(_BATCH):
                for record in _records(file, batch, schema):
                    if record.id in rows.places:
                        raise SchemaMismatch(f"{file} has the id {record.id!r} twice.")
                    if can_compare(record.vector):
                        rows.put(record)
    except (OSError, pa.ArrowException) as error:
        why = getattr(error, "strerror", None) or "it is not a valid parquet file"
        raise BackendError(f"{file} cannot be read: {why}") from error
    return metadata.get(NAME, b"images").decode(errors="replace"), rows


def _schema(file: Path, columns: pa.Schema, metadata: Mapping[bytes, bytes]) -> Schema:
    if not {"id", "vector"} <= set(columns.names):
        raise SchemaMismatch(
            f'{file} has no vectors to search: it needs the columns "id" and "vector", not '
            f"{', '.join(columns.names[:10])}. A list of images is added with `imgsearch add`."
        )
    if len(names := set(columns.names)) < len(columns.names):
        repeated = next(name for name in names if columns.names.count(name) > 1)
        raise SchemaMismatch(f"{file} has several columns {repeated!r}. Rename all but one.")
    kind = columns.field("vector").type
    if not (pa.types.is_fixed_size_list(kind) and _is_number(kind.value_type)):
        raise SchemaMismatch(
            f'{file} cannot be searched: its column "vector" is of type {kind}, not a list of '
            "numbers of fixed size."
        )
    if KEY in metadata:
        schema = Schema.from_json(metadata[KEY].decode(errors="replace"))
        if schema.dim != kind.list_size:
            raise SchemaMismatch(
                f"{file} cannot be searched: its vectors have {kind.list_size:,} dimensions, and "
                f"its description says {schema.dim:,}."
            )
        return schema
    fields = {
        column.name: name
        for column in columns
        for name, type_ in ARROW_TYPES.items()
        if column.type == type_ and can_filter(column.name)
    }
    return Schema(kind.list_size, index=Index("flat"), fields=fields)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _records(file: Path, batch: pa.RecordBatch, schema: Schema) -> Iterable[Record]:
    """Yield the records of a batch. Null vectors are left out."""
    names = [name for name in batch.schema.names if name not in ("id", "vector")]
    present = batch.filter(batch.column("vector").is_valid())
    flat = present.column("vector").flatten().to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # an infinite number is found by `can_compare`
        vectors = flat.astype(np.float32).reshape(-1, schema.dim)
    columns = {name: _cells(file, present, name, schema.fields.get(name)) for name in names}
    for row, id_ in enumerate(present.column("id").to_pylist()):
        if id_ is None:
            raise SchemaMismatch(f"{file} has a row without an id.")
        fields = {name: _value(columns[name][row]) for name in names}
        known = {name: value for name, value in fields.items() if value is not None}
        zeros = {name: ZEROS[kind] for name, kind in schema.fields.items()}
        yield Record(str(id_), vectors[row], zeros | known)


def _cells(file: Path, batch: pa.RecordBatch, name: str, kind: FieldType | None) -> list[Any]:
    """Return the cells of a column, as values of the declared type.

    Raises:
        SchemaMismatch: a cell has another type.
    """
    column = batch.column(name)
    try:
        cells: list[Any] = (column.cast(ARROW_TYPES[kind]) if kind else column).to_pylist()
    except (pa.ArrowException, ArithmeticError, ValueError) as error:
        raise SchemaMismatch(
            f"{file}: its column {name!r} of type {column.type} cannot be read as "
            f"{kind or 'values'}."
        ) from error
    return cells


def _value(cell: Any) -> Value | None:
    return cell if cell is None or isinstance(cell, str | int | float | bool) else str(cell)
