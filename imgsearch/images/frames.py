"""Reads tables in memory: data frames of pandas, and whatever exports Arrow's stream.

Polars, pyarrow, DuckDB and others do; see
https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html.
"""

from collections.abc import Iterator
from typing import Any, Final

from imgsearch.fields import FieldType, can_declare, common_type, type_of
from imgsearch.images.tables import Row

_ROWS: Final = 256  # rows converted at once, as cells may be images


def is_pandas(value: Any) -> bool:
    """Return whether an object is a data frame of pandas."""
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "itertuples")


def pandas_columns(frame: Any) -> list[Any]:
    """Return the names of the columns."""
    return list(frame.columns)


def pandas_rows(frame: Any) -> Iterator[Row]:
    """Yield the rows as dicts."""
    names = list(frame.columns)
    for cells in frame.itertuples(index=False, name=None):
        yield dict(zip(names, cells, strict=True))


def field_types(table: Any) -> dict[str, FieldType]:
    """Return the types of the columns of a table that can be fields; {} for other objects."""
    if is_pandas(table):
        numbered = enumerate(table.columns)  # of equal names the last one is read, as in rows
        cells = {name: table.iloc[:, at] for at, name in numbered if can_declare(name)}
        return {name: common_type(map(type_of, column)) for name, column in cells.items()}
    schema: Any = getattr(table, "schema", None)
    if not is_arrow(table) or not hasattr(schema, "names") or not hasattr(schema, "types"):
        return {}
    columns = zip(schema.names, map(str, schema.types), strict=True)
    kinds = {name: _arrow_type(kind) for name, kind in columns if can_declare(name)}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _arrow_type(kind: str) -> FieldType | None:
    """Return the type of a field for the text of an Arrow type, None if it cannot be one."""
    if kind.startswith(("int", "uint")):
        return "int"
    if kind.startswith(("float", "double", "half", "decimal")):
        return "float"
    if kind == "bool":
        return "bool"
    return "str" if kind.startswith(("string", "large_string", "date", "time")) else None


def is_arrow(value: Any) -> bool:
    """Return whether an object is a table that exports Arrow's stream or batch."""
    exports = hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")
    return exports and (hasattr(value, "schema") or hasattr(value, "columns"))


def arrow_reader(table: Any) -> Any:
    """Return a reader of record batches, which has a `schema`."""
    import pyarrow as pa

    if not hasattr(table, "__arrow_c_stream__"):
        return pa.table(table).to_reader()
    return pa.RecordBatchReader.from_stream(table)


def arrow_rows(reader: Any) -> Iterator[Row]:
    """Yield the rows as dicts."""
    for batch in reader:
        for start in range(0, batch.num_rows, _ROWS):
            yield from batch.slice(start, _ROWS).to_pylist()
