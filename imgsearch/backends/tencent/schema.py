"""How a `Schema` and a `Record` lie in Tencent VectorDB. No driver here.

The schema's text is the collection's description, behind `MARK`. No limit on its length is
documented; with a timm encoder's fingerprint it is about 600 bytes. A service that cut it would be
found out by `create`, which opens what it made: half a text is no JSON.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from imgsearch import safe_json
from imgsearch.backends.collection import row_vector
from imgsearch.backends.schema import (
    INDEXES,
    FieldType,
    Index,
    Metric,
    Schema,
    can_filter,
)
from imgsearch.errors import ConfigError, IndexRefused, SchemaMismatch
from imgsearch.types import Record, Value

COLUMNS: Final[Mapping[FieldType, str]] = {
    "str": "string",
    "int": "int64",
    "float": "double",
    "bool": "uint64",  # there is no boolean: 0 or 1
}
"""Tencent's type for each of ours."""

MARK: Final = "imgsearch "
"""What the description of our own collections begins with."""

PLACE: Final = "_place"
"""A number in 0 to `PLACES`, drawn from the id: ranges of it are what `iterate` reads."""
PLACES: Final = 2**62
LONG_ID: Final = "_id"
"""The id of a record whose key is a digest of it."""
KINDS: Final = "_kinds"
"""JSON: which undeclared fields are booleans ("b") or floats ("f"), where there are any."""

MAX_KEY: Final = 128  # Source: https://cloud.tencent.com/document/product/1709/103074
MAX_DIM: Final = 4_096  # the same
MAX_EF: Final = 32_768  # the SDK's own docstring
_DIGEST: Final = "sha256:"
_OWN: Final = frozenset({"id", "vector", "score", PLACE, LONG_ID, KINDS})
_TYPES: Final[Mapping[str, FieldType]] = {
    "string": "str", "int64": "int", "uint64": "int", "double": "float",
}  # fmt: skip
_METRICS: Final[Mapping[str, Metric]] = {"COSINE": "cosine", "IP": "ip", "L2": "l2"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a collection stores records; `ours` is False if another program created it.

    Documents of a foreign collection get no fields of ours: ids are the keys, undeclared booleans
    are read as 0 or 1, and lists and objects as JSON texts.
    """

    schema: Schema
    ours: bool = True

    def to_key(self, id_: str) -> str:
        """Return the document's id for a record's: itself, or where that is too long a digest."""
        long = len(id_.encode()) > MAX_KEY or id_.startswith(_DIGEST)
        return _DIGEST + _digest(id_).hex() if self.ours and long else id_

    def document(self, record: Record) -> dict[str, Any]:
        """Return a checked record as the SDK takes it: plain Python numbers, no arrays."""
        fields = {
            name: int(value) if isinstance(value, bool) else value
            for name, value in record.fields.items()
        }
        key = self.to_key(record.id)
        own: dict[str, Any] = {"id": key, "vector": np.asarray(record.vector).tolist()}
        if self.ours:
            own[PLACE] = int.from_bytes(_digest(record.id)[:8]) % PLACES
            if key != record.id:
                own[LONG_ID] = record.id
            if kinds := self._kinds(record.fields):
                own[KINDS] = json.dumps(kinds)
        return fields | own

    def record(self, row: Mapping[str, Any]) -> Record:
        """Return a document as a record."""
        vector = row.get("vector")
        kinds: Mapping[str, str] = safe_json.loads(row[KINDS]) if self.ours and KINDS in row else {}
        fields = {
            name: self._value(name, value, kinds)
            for name, value in row.items()
            if name not in _OWN and value is not None
        }
        return Record(
            str(row[LONG_ID] if self.ours and LONG_ID in row else row["id"]),
            None if vector is None else row_vector(vector),
            fields,
        )

    def _kinds(self, fields: Mapping[str, Value]) -> dict[str, str]:
        letters: dict[type, str] = {bool: "b", float: "f"}
        return {
            name: letters[type(value)]
            for name, value in fields.items()
            if name not in self.schema.fields and type(value) in letters
        }

    def _value(self, name: str, value: Any, kinds: Mapping[str, str]) -> Value:
        match self.schema.fields.get(name) or kinds.get(name):
            case "bool" | "b":
                return bool(value)
            case "float" | "f":
                return float(value)
            case "int":
                return int(value)
        if isinstance(value, list | dict):  # another program's
            return json.dumps(value, ensure_ascii=False)
        plain: Value = value
        return plain


def parsed(name: str, description: str | None, indexes: Sequence[Mapping[str, Any]]) -> Layout:
    """Return the layout of a collection, ours or foreign, from its description and indexes.

    Raises:
        SchemaMismatch: a newer imgsearch created the collection, it does not have one float vector,
            or another program rebuilt its index with another metric.
    """
    vectors = [index for index in indexes if index["fieldName"] == "vector"]
    kinds = {kind.upper(): kind for kind in INDEXES}
    if description and description.startswith(MARK):
        schema = Schema.from_json(description.removeprefix(MARK))
        metric = vectors[0].get("metricType") if vectors else None
        if _METRICS.get(str(metric)) != schema.metric:
            raise SchemaMismatch(
                f"another program rebuilt the index of collection {name!r}: it compares by "
                f"{metric}, not by {schema.metric}. Rebuild it as it was."
            )
        return Layout(schema)
    if (
        not vectors
        or vectors[0]["fieldType"] != "vector"
        or vectors[0].get("metricType") not in _METRICS
        or vectors[0]["indexType"] not in kinds
    ):
        raise SchemaMismatch(
            f"collection {name!r} was not made by imgsearch and does not fit: it takes one float "
            f"vector with a metric of {list(_METRICS)} and an index of {list(kinds)}"
        )
    (vector,) = vectors
    kind = kinds[vector["indexType"]]
    params = vector.get("params") or {}
    schema = Schema(
        dim=int(vector["dimension"]),
        metric=_METRICS[vector["metricType"]],
        index=Index(kind, {n: int(params[n]) for n in INDEXES[kind] if params.get(n)}),
        fields={
            index["fieldName"]: _TYPES[index["fieldType"]]
            for index in indexes
            if index.get("indexType") == "filter"
            and index["fieldType"] in _TYPES
            and can_filter(index["fieldName"])
        },
    )
    return Layout(schema, ours=False)


def check_creatable(name: str, schema: Schema) -> None:
    """Refuse what the service is known not to make.

    Raises:
        ConfigError: the name begins with an underscore, or vectors are too long.
        IndexRefused: IVF_PQ cannot cut a vector into that many parts.
    """
    if name.startswith("_"):
        raise ConfigError(f"collection name {name!r}: on Tencent VectorDB it begins with a letter")
    if schema.dim > MAX_DIM:
        raise ConfigError(f"Tencent VectorDB takes {MAX_DIM:,} dimensions, not {schema.dim:,}")
    if schema.index.kind == "ivf_pq" and schema.dim % schema.index.params["M"]:
        raise IndexRefused(
            f"{schema.index} cuts a vector into M equal parts: {schema.dim} dimensions do not go "
            f"into {schema.index.params['M']}"
        )


def breadth(index: Index, k: int, effort: int | None) -> dict[str, int]:
    """Return the search-time parameter that an index has, if it has one.

    The defaults favour recall, since a missed neighbour costs more than a millisecond does.
    HNSW: ef = 2 k, at least 256 (the service's own default is 10). IVF: a quarter of the cells,
    at least 16.
    """
    match index.kind:
        case "hnsw":
            return {"ef": min(max(effort or max(256, 2 * k), k), MAX_EF)}
        case "ivf_flat" | "ivf_sq8" | "ivf_pq":
            nlist = index.params["nlist"]
            return {"nprobe": min(effort or max(16, nlist // 4), nlist)}
        case _:
            return {}


def _digest(id_: str) -> bytes:
    return hashlib.sha256(id_.encode()).digest()
