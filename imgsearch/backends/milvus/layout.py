"""Converts records to rows of a Milvus collection of any program, and back."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgsearch.backends.collection import hit, row_vector
from imgsearch.backends.schema import Schema
from imgsearch.errors import FieldInvalid
from imgsearch.types import Hit, Record, Value


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a collection: its primary key, its vector and its fields.

    `numbered` is True for integer keys, and `dynamic` if records may have undeclared fields.
    `ours` is False for a collection of another program; all its `columns` are read, of any type.
    """

    schema: Schema
    key: str = "id"
    vector: str = "vector"
    numbered: bool = False
    dynamic: bool = True
    ours: bool = True
    columns: tuple[str, ...] = ()

    def to_key(self, id_: str) -> str | int:
        """Return the primary key of an id.

        Raises:
            FieldInvalid: the keys are numbers, and the id is not one.
        """
        if not self.numbered:
            return id_
        if not re.fullmatch(r"-?[0-9]{1,19}", id_):
            raise FieldInvalid(
                f"id {id_[:80]!r} is invalid: the collection's ids are 64-bit numbers"
            )
        return int(id_)

    def keys(self, ids: Sequence[str]) -> list[str | int]:
        """Return the primary keys of the ids that are valid in this collection."""
        keys: list[str | int] = []
        for id_ in ids:
            try:
                keys.append(self.to_key(id_))
            except FieldInvalid:
                continue  # no row can have this id
        return keys

    def outputs(self, *, vectors: bool = False) -> list[str]:
        """Return the columns that a record is read from."""
        fields = self.schema.fields if self.ours else self.columns
        dynamic = ["$meta"] if self.dynamic else []
        return [self.key, *fields, *dynamic, *([self.vector] if vectors else [])]

    def row(self, record: Record) -> dict[str, Any]:
        """Return a checked record as the row that is stored.

        Raises:
            FieldInvalid: the collection cannot hold its id, or an undeclared field.
        """
        declared = self.schema.fields
        undeclared = [name for name in record.fields if name not in declared]
        if undeclared and not self.dynamic:
            raise FieldInvalid(
                f"fields {undeclared} cannot be stored: the collection has only {list(declared)}"
            )
        return {self.key: self.to_key(record.id), self.vector: record.vector, **record.fields}

    def record(self, row: Mapping[str, Any]) -> Record:
        """Return a stored row as a record."""
        vector = row.get(self.vector)
        return Record(
            str(row[self.key]), None if vector is None else row_vector(vector), self._fields(row)
        )

    def hit(self, match: Any) -> Hit:
        """Return a match of the driver's search as a hit."""
        similarity = float(match.distance)
        return hit(self.schema.metric, similarity, str(match.id), self._fields(match.fields))

    def _fields(self, row: Mapping[str, Any]) -> dict[str, Value]:
        return {
            name: plain(value)
            for name, value in row.items()
            if name not in (self.key, self.vector) and value is not None
        }


def plain(value: Any) -> Value:
    """Return a stored value as a field's value: lists and objects become JSON texts."""
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    return json.dumps(value, ensure_ascii=False, default=_jsonable)


def _jsonable(value: Any) -> Any:
    """Return a driver's sequence as a list, and other values unknown to `json` as texts."""
    return list(value) if isinstance(value, Sequence) else str(value)
