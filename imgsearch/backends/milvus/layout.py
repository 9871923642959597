"""Converts records to rows of a Milvus collection and back, also in foreign collections."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgsearch.backends.checks import signs
from imgsearch.backends.collection import row_vector
from imgsearch.backends.exact import hit
from imgsearch.backends.milvus import full_text
from imgsearch.backends.schema import Schema
from imgsearch.errors import FieldInvalid
from imgsearch.types import Hit, Record, Value, Vector


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a collection: its primary key, its vector and its fields.

    `numbered` is True if keys are integers. `dynamic` is True if records can have undeclared
    fields; declared fields without a column, which were added later, are stored like these. `ours`
    is False if another program created the collection; then all `columns` of any type are read.
    """

    schema: Schema
    key: str = "id"
    vector: str = "vector"
    numbered: bool = False
    dynamic: bool = True
    ours: bool = True
    columns: tuple[str, ...] = ()

    @property
    def has_words(self) -> bool:
        """Whether the collection has the columns of `full_text`."""
        return self.ours and full_text.SPARSE in self.columns

    def to_key(self, id_: str) -> str | int:
        """Return the primary key for an id.

        Raises:
            FieldInvalid: the keys are integers, but the id is not an integer.
        """
        if not self.numbered:
            return id_
        if not re.fullmatch(r"-?[0-9]{1,19}", id_):
            raise FieldInvalid(
                f"id {id_[:80]!r} is invalid: the collection's ids are 64-bit numbers"
            )
        return int(id_)

    def keys(self, ids: Sequence[str]) -> list[str | int]:
        """Return the primary keys for `ids`. Ids that are invalid here are omitted."""
        keys: list[str | int] = []
        for id_ in ids:
            try:
                keys.append(self.to_key(id_))
            except FieldInvalid:
                continue  # no row can have this id
        return keys

    def outputs(self, *, vectors: bool = False) -> list[str]:
        """Return the names of the columns to read for a record."""
        declared = [name for name in self.schema.fields if name in self.columns]
        fields = declared if self.ours else self.columns
        dynamic = ["$meta"] if self.dynamic else []
        return [self.key, *fields, *dynamic, *([self.vector] if vectors else [])]

    def row(self, record: Record) -> dict[str, Any]:
        """Convert a checked record to a row.

        Raises:
            FieldInvalid: the collection cannot store the id or an undeclared field.
        """
        declared = self.schema.fields
        if not self.dynamic and (undeclared := record.fields.keys() - declared.keys()):
            raise FieldInvalid(
                f"fields {sorted(undeclared)} cannot be stored: the collection has only "
                f"{list(declared)}"
            )
        vector = record.vector
        if self.schema.is_binary and vector is not None:
            stored: Any = packed(vector)
        else:
            stored = vector
        row = {self.key: self.to_key(record.id), self.vector: stored, **record.fields}
        if self.has_words:
            row[full_text.WORDS] = full_text.words_column(record.fields)
        return row

    def record(self, row: Mapping[str, Any]) -> Record:
        """Convert a stored row to a record."""
        stored = row.get(self.vector)
        if stored is None:
            vector = None
        elif self.schema.is_binary:
            vector = unpacked(stored)
        else:
            vector = row_vector(stored)
        return Record(str(row[self.key]), vector, self._fields(row))

    def hit(self, match: Any) -> Hit:
        """Convert a search result of the driver to a hit."""
        similarity = float(match.distance)
        schema, fields = self.schema, self._fields(match.fields)
        return hit(schema.metric, similarity, str(match.id), fields, dim=schema.dim)

    def text_hit(self, match: Any) -> Hit:
        """Convert a result of a search by words to a hit."""
        score = abs(float(match.distance))  # lite 3.2.2 returns the negative score
        return Hit(str(match.id), score, -score, self._fields(match.fields))

    def _fields(self, row: Mapping[str, Any]) -> dict[str, Value]:
        return {
            name: plain(value)
            for name, value in row.items()
            if name not in (self.key, self.vector) and value is not None
        }


def packed(vector: Vector) -> bytes:
    """Return a vector of bits (±1/√d) as bytes, the first component in the highest bit."""
    return np.packbits(vector > 0).tobytes()


def unpacked(stored: Any) -> Vector:
    """Return stored bytes, or pymilvus' list of them, as a vector of bits; see `packed`."""
    data = stored if isinstance(stored, bytes) else b"".join(stored)
    return signs(np.unpackbits(np.frombuffer(data, np.uint8)))


def plain(value: Any) -> Value:
    """Convert a stored value to a field value. Lists and objects become JSON text."""
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    return json.dumps(value, ensure_ascii=False, default=_jsonable)


def _jsonable(value: Any) -> Any:
    """Convert a value that `json` does not support: sequences to lists, others to texts."""
    return list(value) if isinstance(value, Sequence) else str(value)
