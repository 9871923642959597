"""Parses and checks descriptions of Milvus collections, without importing the driver."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from imgsearch.backends.field_names import FieldNames
from imgsearch.backends.identity import Described
from imgsearch.backends.milvus.indexes import SERVER, own_params
from imgsearch.backends.milvus.layout import Layout
from imgsearch.backends.schema import (
    METRIC_NAMES,
    Index,
    Schema,
)
from imgsearch.errors import FieldInvalid, IndexRefused, SchemaMismatch
from imgsearch.fields import FieldType, can_filter, check_field_name

PROPERTY: Final = "imgsearch.schema"
"""The collection property with the schema as JSON, because lite 3.2.2 drops descriptions."""

COLUMNS: Final[Mapping[FieldType, str]] = {
    "str": "VARCHAR",
    "int": "INT64",
    "float": "DOUBLE",
    "bool": "BOOL",
}
"""Maps imgsearch's field types to Milvus' column types."""

_TYPES: Final[Mapping[str, FieldType]] = {
    **{column: kind for kind, column in COLUMNS.items()},
    "INT8": "int", "INT16": "int", "INT32": "int", "FLOAT": "float",
}  # fmt: skip
BINARY: Final = frozenset({"flat", "ivf_flat"})
"""The index kinds for bits."""
# AUTOINDEX is HNSW in milvus-lite and in Milvus' default configuration
_KINDS: Final = {
    **{kind.upper(): kind for kind in sorted(SERVER)},
    **{f"BIN_{kind.upper()}": kind for kind in sorted(BINARY)},
    "AUTOINDEX": "hnsw",
}


def index_type(schema: Schema) -> str:
    """Return Milvus' name of a schema's index."""
    return "BIN_" * schema.is_binary + schema.index.kind.upper()


def described(
    description: Mapping[str, Any],
    index: Mapping[str, Any] | None,
    names: FieldNames,
    identity: object = None,
) -> Described[Layout]:
    """Parse the results of describe_collection and describe_index, for any program's collection.

    `names` are the field names of a foreign collection. `identity` defaults to the collection's id
    on the server, and its index.

    Raises:
        SchemaMismatch: a newer imgsearch created the collection, imgsearch cannot search its
            vectors, or another program rebuilt an imgsearch index with another metric.
        FieldInvalid: a field in `names` does not exist, or `names.id` is not the primary key.
    """
    layout = _layout(description, index, names)
    name = str(description["collection_name"])
    if index is not None:
        layout = replace(layout, schema=_with_index(name, layout.schema, index))
    if identity is None:
        known = index or {}
        built = known.get("index_type"), known.get("metric_type"), own_params(known)
        identity = description["collection_id"], *built
    return Described(name, layout, index is not None, identity)


def _layout(
    description: Mapping[str, Any], index: Mapping[str, Any] | None, names: FieldNames
) -> Layout:
    text = description.get("properties", {}).get(PROPERTY, "")
    if not text and '"imgsearch"' in description["description"]:
        text = description["description"]
    if text:
        names.require_fixed(description["collection_name"])
        return Layout(Schema.from_json(text), columns=tuple(_types(description)))
    return _foreign(description, index, names)


def _with_index(name: str, schema: Schema, index: Mapping[str, Any]) -> Schema:
    """Return the schema with its current index, which another program may have rebuilt.

    Raises:
        SchemaMismatch: the index has another metric or an unknown kind.
    """
    kind, metric = _KINDS.get(index["index_type"]), METRIC_NAMES.get(index["metric_type"])
    if kind is None or metric != schema.metric:
        raise SchemaMismatch(
            f"another program rebuilt the index of collection {name!r}: it is "
            f"{index['index_type']} by {index['metric_type']}, not {schema.index.kind} by "
            f"{schema.metric}. Release the collection and drop the index; imgsearch builds its own."
        )
    known = schema.index.params if kind == schema.index.kind else {}
    return replace(schema, index=Index.of_store(kind, {**known, **own_params(index)}))


def check_index(index: Mapping[str, Any], schema: Schema) -> None:
    """Check that Milvus built the requested index.

    Raises:
        IndexRefused: Milvus built another index.
    """
    requested = {"index_type": index_type(schema), "metric_type": schema.metric.upper()}
    built = {name: index.get(name) for name in requested}
    params = own_params(index)
    wrong = any(params.get(name) != value for name, value in schema.index.params.items())
    if built != requested or wrong:
        raise IndexRefused(
            f"Milvus built another index than {schema.index} with {schema.metric}: {built} with "
            f"{params}"
        )


def searched_vector(description: Mapping[str, Any], names: FieldNames) -> str:
    """Return the name of the vector field to search: `names.vector`, or the only float vector.

    Without float vectors it is the only binary one.

    Raises:
        FieldInvalid: `names.vector` is not a vector field.
        SchemaMismatch: the field is neither a float32 nor a binary vector, or there are several
            such vectors and `names.vector` is not set.
    """
    types = _types(description)
    vectors = [name for name, kind in types.items() if kind.endswith("_VECTOR")]
    possible = [name for name in vectors if types[name] == "FLOAT_VECTOR"] or [
        name for name in vectors if types[name] == "BINARY_VECTOR"
    ]
    where = f"collection {description['collection_name']!r}"
    known = ", ".join(f"{name} ({types[name]})" for name in vectors) or "none"
    if names.vector and names.vector not in vectors:
        raise FieldInvalid(f"{where} has no vector field {names.vector!r}, only: {known}")
    searched = [names.vector] if names.vector else possible
    if not searched or types[searched[0]] not in ("FLOAT_VECTOR", "BINARY_VECTOR"):
        raise SchemaMismatch(
            f"{where} cannot be searched: FLOAT_VECTOR and BINARY_VECTOR are searched, sparse, "
            f"16-bit and int8 vectors are not. Its vectors: {known}."
        )
    if len(searched) > 1:
        raise SchemaMismatch(
            f"{where} has several vectors: {known}. Name one with vector_field= or --vector-field."
        )
    return searched[0]


def _foreign(
    description: Mapping[str, Any], index: Mapping[str, Any] | None, names: FieldNames
) -> Layout:
    types, vector = _types(description), searched_vector(description, names)
    columns: Sequence[Mapping[str, Any]] = description["fields"]
    name = description["collection_name"]
    (key,) = [column["name"] for column in columns if column.get("is_primary")]
    (dim,) = [int(column["params"]["dim"]) for column in columns if column["name"] == vector]
    if names.id not in (None, key):
        raise FieldInvalid(f"the primary key of collection {name!r} is {key!r}, not {names.id!r}")
    if (
        index is None
        or index["metric_type"] not in METRIC_NAMES
        or index["index_type"] not in _KINDS
    ):
        raise SchemaMismatch(
            f"vector {vector!r} of collection {name!r} cannot be searched: its index is unknown to "
            f"imgsearch or missing ({dict(index) if index else 'none'}). Build one of "
            f"{', '.join(_KINDS)}."
        )
    built = Index.of_store(_KINDS[index["index_type"]], own_params(index))
    dynamic = bool(description["enable_dynamic_field"])
    others = {n: kind for n, kind in types.items() if n != key and not kind.endswith("_VECTOR")}
    fields = {n: _TYPES[kind] for n, kind in others.items() if kind in _TYPES and can_filter(n)}
    for field in {*names.renamed_fields().values()} - {*others, key}:
        if not dynamic:
            known = ", ".join([key, *others])
            raise FieldInvalid(f"collection {name!r} has no field {field!r}; it has: {known}")
        check_field_name(field)
        fields[field] = "str"
    return Layout(
        Schema(
            dim, METRIC_NAMES[index["metric_type"]], built, fields, partition=_partition(columns)
        ),
        key,
        vector,
        numbered=types[key] == "INT64",
        dynamic=dynamic,
        ours=False,
        columns=tuple(others),
    )


def _partition(columns: Sequence[Mapping[str, Any]]) -> str:
    return next((str(column["name"]) for column in columns if column.get("is_partition_key")), "")


def _types(description: Mapping[str, Any]) -> dict[str, str]:
    """Return the Milvus type of each column."""
    return {column["name"]: column["type"].name for column in description["fields"]}
