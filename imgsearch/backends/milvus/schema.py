"""How Milvus stores a `Schema`, and how to read one of any Milvus collection. No driver here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from imgsearch.backends.field_names import FieldNames
from imgsearch.backends.identity import Described
from imgsearch.backends.milvus.layout import Layout
from imgsearch.backends.schema import (
    INDEXES,
    FieldType,
    Index,
    Metric,
    Schema,
    can_filter,
    check_field_name,
)
from imgsearch.errors import FieldInvalid, IndexRefused, SchemaMismatch

PROPERTY: Final = "imgsearch.schema"
"""The collection property that holds our schema's text. milvus-lite 3.2.2 forgets descriptions."""

COLUMNS: Final[Mapping[FieldType, str]] = {
    "str": "VARCHAR",
    "int": "INT64",
    "float": "DOUBLE",
    "bool": "BOOL",
}
"""Milvus' type for each of ours."""

_TYPES: Final[Mapping[str, FieldType]] = {
    **{column: kind for kind, column in COLUMNS.items()},
    "INT8": "int", "INT16": "int", "INT32": "int", "FLOAT": "float",
}  # fmt: skip
_METRICS: Final[Mapping[str, Metric]] = {"COSINE": "cosine", "IP": "ip", "L2": "l2"}
BUILT: Final = frozenset(INDEXES) - {"ivf_pq"}  # which lite accepts, and then searches by force
# AUTOINDEX is HNSW both in milvus-lite and in Milvus as it is shipped
_KINDS: Final = {kind.upper(): kind for kind in sorted(BUILT)} | {"AUTOINDEX": "hnsw"}
_MAX_EF: Final = 32_768  # Milvus' bound


def described(
    description: Mapping[str, Any],
    index: Mapping[str, Any] | None,
    names: FieldNames,
    identity: object = None,
) -> Described[Layout]:
    """Return a collection, ours or foreign, from the answers of describe_collection and _index.

    `names` are the field names of a foreign collection. `identity` defaults to the collection's
    number on a server and its index.

    Raises:
        SchemaMismatch: a newer imgsearch created the collection, imgsearch cannot search its
            vectors, or another program rebuilt our collection's index with another metric.
        FieldInvalid: a field of `names` does not exist, or the primary key is another one.
    """
    layout = _layout(description, index, names)
    name = str(description["collection_name"])
    if index is not None:
        layout = replace(layout, schema=_with_index(name, layout.schema, index))
    if identity is None:
        known = index or {}
        built = known.get("index_type"), known.get("metric_type"), index_params(known)
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
        return Layout(Schema.from_json(text))
    return _foreign(description, index, names)


def _with_index(name: str, schema: Schema, index: Mapping[str, Any]) -> Schema:
    """Return the schema with its current index, which another program may have rebuilt.

    Raises:
        SchemaMismatch: the index has another metric, or a kind that imgsearch does not know.
    """
    kind, metric = _KINDS.get(index["index_type"]), _METRICS.get(index["metric_type"])
    if kind is None or metric != schema.metric:
        raise SchemaMismatch(
            f"another program rebuilt the index of collection {name!r}: it is "
            f"{index['index_type']} by {index['metric_type']}, not {schema.index.kind} by "
            f"{schema.metric}. Release the collection and drop the index; imgsearch builds its own."
        )
    known = schema.index.params if kind == schema.index.kind else {}
    built = {n: v for n, v in index_params(index).items() if n in INDEXES[kind]}
    return replace(schema, index=Index(kind, {**known, **built}))


def check_index(index: Mapping[str, Any], schema: Schema) -> None:
    """Compare the index that Milvus says it has with the one that was asked for.

    Raises:
        IndexRefused: they differ.
    """
    asked = {"index_type": schema.index.kind.upper(), "metric_type": schema.metric.upper()}
    built = {name: index.get(name) for name in asked}
    params = index_params(index)
    if built != asked or any(params.get(n) != value for n, value in schema.index.params.items()):
        raise IndexRefused(
            f"asked for {schema.index} with {schema.metric}, Milvus built {built} with {params}"
        )


def index_params(index: Mapping[str, Any]) -> dict[str, int]:
    """Return the build parameters that describe_index tells: nested by lite, flat by servers."""
    nested = index.get("params")
    known = {**(nested if isinstance(nested, Mapping) else {}), **index}
    names = {name for params in INDEXES.values() for name in params}
    return {name: int(known[name]) for name in names if name in known}


def search_params(index: Index, k: int, effort: int | None) -> dict[str, int]:
    """Return the search-time parameters.

    Defaults favour recall, since a missed neighbour costs a user more than a millisecond does.
    HNSW: ef = 2 k, at least 256; Milvus refuses less than k. IVF: a quarter of the cells, at least
    16. Recall@10 with them and default indexes on milvus-lite 3.2.2, 10,000 rows of 128
    dimensions, 100 queries: around 200 centres 1.00, with IVF_SQ8 0.96; on plain Gaussian noise,
    which no embedding is, 0.97 for HNSW and 0.63 for IVF. On Milvus 2.3.5, 50,000 x 512 around
    1,000 centres: 0.999 with ef 256, 0.984 with 128 in one run of five.
    """
    match index.kind:
        case "hnsw":
            return {"ef": min(max(effort or max(256, 2 * k), k), _MAX_EF)}
        case "ivf_flat" | "ivf_sq8":
            nlist = index.params["nlist"]
            return {"nprobe": min(effort or max(16, nlist // 4), nlist)}
        case _:
            return {}


def searched_vector(description: Mapping[str, Any], names: FieldNames) -> str:
    """Return the name of the vector field to search: the one in `names`, or the only one.

    Raises:
        FieldInvalid: no vector field has that name.
        SchemaMismatch: the field is not of 32-bit floats, or there are several and none is named.
    """
    types = _types(description)
    vectors = [name for name, kind in types.items() if kind.endswith("_VECTOR")]
    floats = [name for name in vectors if types[name] == "FLOAT_VECTOR"]
    where = f"collection {description['collection_name']!r}"
    known = ", ".join(f"{name} ({types[name]})" for name in vectors) or "none"
    if names.vector and names.vector not in vectors:
        raise FieldInvalid(f"{where} has no vector field {names.vector!r}; it has: {known}")
    searched = [names.vector] if names.vector else floats
    if not searched or types[searched[0]] != "FLOAT_VECTOR":
        kinds = "sparse, binary, 16-bit and int8 vectors are not"
        raise SchemaMismatch(f"{where}: FLOAT_VECTOR is searched, {kinds}. Its vectors: {known}.")
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
    if index is None or index["metric_type"] not in _METRICS or index["index_type"] not in _KINDS:
        raise SchemaMismatch(
            f"vector {vector!r} of collection {name!r} has no index that imgsearch knows: "
            f"{dict(index) if index else 'none'}"
        )
    kind = _KINDS[index["index_type"]]
    params = {n: v for n, v in index_params(index).items() if n in INDEXES[kind]}
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
        Schema(dim, _METRICS[index["metric_type"]], Index(kind, params), fields),
        key,
        vector,
        numbered=types[key] == "INT64",
        dynamic=dynamic,
        ours=False,
        columns=tuple(others),
    )


def _types(description: Mapping[str, Any]) -> dict[str, str]:
    """Return the Milvus type of each column."""
    return {column["name"]: column["type"].name for column in description["fields"]}
