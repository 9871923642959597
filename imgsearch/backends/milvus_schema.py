"""How a `Schema` lies in Milvus, and how any Milvus collection reads as one. No driver here."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from imgsearch.backends.names import FieldNames
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
from imgsearch.types import Value

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


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns hold what: the primary key, the vector, and whether other fields fit.

    `ours` is False where another program created the collection; `columns` are then those that
    records are read from, whatever their types.
    """

    key: str = "id"
    vector: str = "vector"
    numbered: bool = False
    dynamic: bool = True
    ours: bool = True
    columns: tuple[str, ...] = ()

    def to_key(self, id_: str) -> str | int:
        """Return an id as the primary key that is stored.

        Raises:
            FieldInvalid: the keys of this foreign collection are numbers, and the id is none.
        """
        if not self.numbered:
            return id_
        if not re.fullmatch(r"-?[0-9]{1,19}", id_):
            raise FieldInvalid(f"this collection's ids are 64-bit numbers, not {id_[:80]!r}")
        return int(id_)


def parsed(
    description: Mapping[str, Any],
    index: Mapping[str, Any] | None,
    names: FieldNames,
) -> tuple[Schema, Layout]:
    """Read what describe_collection and describe_index say of a collection, ours or foreign.

    `names` tells how a foreign one calls its fields.

    Raises:
        SchemaMismatch: a newer imgsearch wrote it, or it has no vector or index that is known.
        FieldInvalid: a foreign one has no field that `names` says, or another primary key.
    """
    ours = description.get("properties", {}).get(PROPERTY, "")
    if not ours and '"imgsearch"' in description["description"]:
        ours = description["description"]
    if ours:
        names.require_fixed(description["collection_name"])
        return Schema.from_json(ours), Layout()
    return _foreign(description, index, names)


@dataclass(frozen=True, slots=True)
class Described:
    """A collection as Milvus describes it: its real name, its schema, and how it lies there.

    `identity` differs for another collection of this name, and for another index.
    """

    name: str
    schema: Schema
    layout: Layout
    indexed: bool
    identity: object


def described(
    description: Mapping[str, Any],
    index: Mapping[str, Any] | None,
    names: FieldNames,
    identity: object = None,
) -> Described:
    """Read what describe_collection and describe_index say of a collection, ours or foreign.

    Without `identity` it is what a server says: the collection's number, and its index.

    Raises:
        SchemaMismatch: as `parsed` does, or our collection's index was rebuilt by another metric.
    """
    schema, layout = parsed(description, index, names)
    name = str(description["collection_name"])
    built = (index or {}).get("index_type"), (index or {}).get("metric_type")
    if index is not None:
        schema = _with_index(name, schema, index)
    known = identity or (description["collection_id"], *built, index_params(index or {}))
    return Described(name, schema, layout, index is not None, known)


def _with_index(name: str, schema: Schema, index: Mapping[str, Any]) -> Schema:
    """Return the schema with the index that is there, which another program may have rebuilt.

    Raises:
        SchemaMismatch: it compares vectors otherwise, or is of a kind that imgsearch lacks.
    """
    kind, metric = _KINDS.get(index["index_type"]), _METRICS.get(index["metric_type"])
    if kind is None or metric != schema.metric:
        raise SchemaMismatch(
            f"another program rebuilt the index of collection {name!r}: it is "
            f"{index['index_type']} by {index['metric_type']}, not {schema.index.kind} by "
            f"{schema.metric}. Release the collection and drop the index; imgsearch builds its own."
        )
    known = schema.index.params if kind == schema.index.kind else {}
    found = {n: v for n, v in index_params(index).items() if n in INDEXES[kind]}
    return replace(schema, index=Index(kind, {**known, **found}))


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
    """Return the name of the vector that is searched: the one that is named, or the only one.

    Raises:
        FieldInvalid: there is none of that name.
        SchemaMismatch: it holds no floats of 32 bits, or there are several and none is named.
    """
    types = _types(description)
    vectors = [name for name, kind in types.items() if kind.endswith("_VECTOR")]
    floats = [name for name in vectors if types[name] == "FLOAT_VECTOR"]
    where = f"collection {description['collection_name']!r}"
    known = ", ".join(f"{name} ({types[name]})" for name in vectors) or "none"
    if names.vector and names.vector not in vectors:
        raise FieldInvalid(f"{where} has no vector field {names.vector!r}; it has: {known}")
    found = [names.vector] if names.vector else floats
    if not found or types[found[0]] != "FLOAT_VECTOR":
        kinds = "sparse, binary, 16-bit and int8 vectors are not"
        raise SchemaMismatch(f"{where}: FLOAT_VECTOR is searched, {kinds}. Its vectors: {known}.")
    if len(found) > 1:
        raise SchemaMismatch(
            f"{where} has several vectors: {known}. Name one with vector_field= or --vector-field."
        )
    return found[0]


def _foreign(
    description: Mapping[str, Any], index: Mapping[str, Any] | None, names: FieldNames
) -> tuple[Schema, Layout]:
    types, vector = _types(description), searched_vector(description, names)
    columns: Sequence[Mapping[str, Any]] = description["fields"]
    name = description["collection_name"]
    (key,) = [column["name"] for column in columns if column.get("is_primary")]
    (dim,) = [int(each["params"]["dim"]) for each in columns if each["name"] == vector]
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
    for field in {*names.given().values()} - {*others, key}:
        if not dynamic:
            known = ", ".join([key, *others])
            raise FieldInvalid(f"collection {name!r} has no field {field!r}; it has: {known}")
        check_field_name(field)
        fields[field] = "str"
    schema = Schema(dim, _METRICS[index["metric_type"]], Index(kind, params), fields)
    layout = Layout(
        key,
        vector,
        numbered=types[key] == "INT64",
        dynamic=dynamic,
        ours=False,
        columns=tuple(others),
    )
    return schema, layout


def _types(description: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns' Milvus types by name."""
    return {column["name"]: column["type"].name for column in description["fields"]}


def plain(value: Any) -> Value:
    """Return another program's value as a record holds it: lists and objects as JSON texts."""
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    return json.dumps(value, ensure_ascii=False, default=_jsonable)


def _jsonable(value: Any) -> Any:
    """Return what `json` cannot write: a driver's own sequences as lists, the rest as texts."""
    return list(value) if isinstance(value, Sequence) else str(value)


def check_fields(layout: Layout, schema: Schema, names: Sequence[str]) -> None:
    """Refuse undeclared fields where the collection has no place for them.

    Raises:
        FieldInvalid: it has not.
    """
    strange = [] if layout.dynamic else [name for name in names if name not in schema.fields]
    if strange:
        raise FieldInvalid(f"this collection holds {list(schema.fields)} only, not {strange}")
