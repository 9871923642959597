"""Converts schemas and records for Tencent VectorDB, without importing the driver.

The collection's description is `MARK` followed by the schema as JSON. No length limit is
documented; with a timm encoder's fingerprint it has about 600 bytes. If the service truncated it,
`create` would fail when it opens the new collection, because the text would not be valid JSON.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from imgsearch.backends.collection import row_vector
from imgsearch.backends.schema import (
    COMMON_INDEXES,
    METRIC_NAMES,
    Index,
    Schema,
)
from imgsearch.errors import ConfigError, IndexRefused, SchemaMismatch
from imgsearch.fields import FieldType, can_filter
from imgsearch.text import load_json
from imgsearch.types import Record, Value

COLUMNS: Final[Mapping[FieldType, str]] = {
    "str": "string",
    "int": "int64",
    "float": "double",
    "bool": "uint64",  # 0 or 1, because the service has no booleans
}
"""Maps imgsearch's field types to Tencent's."""

MARK: Final = "imgsearch "
"""The prefix of the description of collections that imgsearch creates."""

PLACE: Final = "_place"
"""The field with a number in 0 to ``PLACES - 1``, derived from the id. `iterate` reads ranges."""
PLACES: Final = 2**62
LONG_ID: Final = "_id"
"""The field with the full id if the key is a digest of the id."""
KINDS: Final = "_kinds"
"""The field with a JSON object that marks undeclared fields as boolean ("b") or float ("f")."""

MAX_KEY: Final = 128  # Source: https://cloud.tencent.com/document/product/1709/103074
MAX_DIM: Final = 4_096  # the same source
_DIGEST: Final = "sha256:"
_OWN: Final = frozenset({"id", "vector", "score", PLACE, LONG_ID, KINDS})
_TYPES: Final[Mapping[str, FieldType]] = {
    "string": "str", "int64": "int", "uint64": "int", "double": "float",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """Converts records to documents and back.

    `ours` is False if another program created the collection. Its documents have no internal fields
    of imgsearch: keys are ids, undeclared booleans are read as 0 or 1, and lists and objects as
    JSON text.
    """

    schema: Schema
    ours: bool = True

    def to_key(self, id_: str) -> str:
        """Return the key for an id: the id itself, or its digest if the id is too long."""
        long = len(id_.encode()) > MAX_KEY or id_.startswith(_DIGEST)
        return _DIGEST + _digest(id_).hex() if self.ours and long else id_

    def document(self, record: Record) -> dict[str, Any]:
        """Convert a checked record to a document for the SDK, without NumPy types."""
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
        """Convert a document to a record."""
        vector = row.get("vector")
        kinds: Mapping[str, str] = load_json(row[KINDS]) if self.ours and KINDS in row else {}
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
        if isinstance(value, list | dict):  # written by another program
            return json.dumps(value, ensure_ascii=False)
        plain: Value = value
        return plain


def parsed(name: str, description: str | None, indexes: Sequence[Mapping[str, Any]]) -> Layout:
    """Parse the description and indexes of a collection that any program may have created.

    Raises:
        SchemaMismatch: a newer imgsearch created the collection, the field "vector" is not a float
            vector with a known index and metric, or another program rebuilt its index with another
            metric.
    """
    vectors = [index for index in indexes if index["fieldName"] == "vector"]
    kinds = {kind.upper(): kind for kind in COMMON_INDEXES}
    if description and description.startswith(MARK):
        schema = Schema.from_json(description.removeprefix(MARK))
        metric = vectors[0].get("metricType") if vectors else None
        if METRIC_NAMES.get(str(metric)) != schema.metric:
            raise SchemaMismatch(
                f"another program rebuilt the index of collection {name!r}: it compares by "
                f"{metric}, not by {schema.metric}. Rebuild it by {schema.metric}."
            )
        return Layout(replace(schema, fields={**schema.fields, **_added(schema, indexes)}))
    if (
        not vectors
        or vectors[0]["fieldType"] != "vector"
        or vectors[0].get("metricType") not in METRIC_NAMES
        or vectors[0]["indexType"] not in kinds
    ):
        raise SchemaMismatch(
            f"collection {name!r} was not created by imgsearch and cannot be searched. It needs "
            f"one float vector with a metric of {list(METRIC_NAMES)} and an index of {list(kinds)}."
        )
    (vector,) = vectors
    schema = Schema(
        dim=int(vector["dimension"]),
        metric=METRIC_NAMES[vector["metricType"]],
        index=Index.of_store(kinds[vector["indexType"]], vector.get("params") or {}),
        fields={
            index["fieldName"]: _TYPES[index["fieldType"]]
            for index in indexes
            if index.get("indexType") == "filter"
            and index["fieldType"] in _TYPES
            and can_filter(index["fieldName"])
        },
    )
    return Layout(schema, ours=False)


def vector_indexes(indexes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the indexes without those for filters, which may be added later."""
    return [index for index in indexes if index.get("indexType") != "filter"]


def _added(schema: Schema, indexes: Sequence[Mapping[str, Any]]) -> dict[str, FieldType]:
    """Return the fields that got an index after the collection was created."""
    kinds = {column: kind for kind, column in COLUMNS.items()}
    return {
        index["fieldName"]: kinds[index["fieldType"]]
        for index in indexes
        if index.get("indexType") == "filter"
        and index["fieldName"] not in (schema.fields.keys() | _OWN)
        and index["fieldType"] in kinds
        and can_filter(index["fieldName"])
    }


def check_creatable(name: str, schema: Schema) -> None:
    """Check that the service can create a collection.

    Raises:
        ConfigError: the name starts with an underscore, or vectors have too many dimensions.
        IndexRefused: the service has no such index; or for IVF_PQ, M does not divide the number of
            dimensions.
    """
    if name.startswith("_"):
        raise ConfigError(
            f"collection name {name!r} is invalid on Tencent VectorDB. Start it with a letter."
        )
    if schema.dim > MAX_DIM:
        raise ConfigError(
            f"{schema.dim:,} dimensions are too many: Tencent VectorDB takes at most {MAX_DIM:,}. "
            "Reduce the vectors with `imgsearch reduce`."
        )
    if schema.index.kind not in COMMON_INDEXES:
        raise IndexRefused(
            f"Tencent VectorDB cannot build {schema.index.kind}. Use one of "
            f"{', '.join(sorted(COMMON_INDEXES))}."
        )
    if schema.index.kind == "ivf_pq" and schema.dim % schema.index.params["M"]:
        raise IndexRefused(
            f"{schema.index} cannot be built: {schema.dim} dimensions cannot be cut into "
            f"{schema.index.params['M']} equal parts. Choose an M that divides {schema.dim}."
        )


def _digest(id_: str) -> bytes:
    return hashlib.sha256(id_.encode()).digest()
