"""Notes: facts about collections, stored as records of a small collection in the same store.

Notes are records because not every store can change a collection's description. The first note
creates the collection. Each note names the dimension, metric and encoder that it was written for.
If the collection now has others, the note is ignored.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from imgsearch.backends.base import VectorBackend
from imgsearch.backends.collection import Collection
from imgsearch.backends.schema import Index, Schema
from imgsearch.errors import CollectionNotFound, SchemaMismatch
from imgsearch.text import load_json
from imgsearch.types import Record

T = TypeVar("T")

NAME: Final = "imgsearch_notes"
"""The name of the notes collection.

It has one record for each collection, with its name as id, and the parts of logs; see `note_log`.
"""

SCHEMA: Final = Schema(2, index=Index("flat"))  # Milvus rejects vectors of one dimension
"""The schema of the notes collection."""

VECTOR: Final = np.array([1, 0], dtype=np.float32)
"""The vector of every note, because a record requires one; it is never searched."""


def read(store: VectorBackend, collection: Collection) -> dict[str, Any]:
    """Return the facts about `collection` by name. Empty if the note is about other vectors.

    A collection that was dropped and created again with the same encoder keeps its note.
    """
    if collection.foreign:
        return {}
    kept = reading(store, lambda held: held.get([collection.name]))
    return _facts((kept or {}).get(collection.name), collection)


def write(store: VectorBackend, collection: Collection, facts: Mapping[str, Any]) -> None:
    """Add or replace facts about a collection. Their values must be JSON-serializable.

    If two programs write facts about the same collection at the same time, some may be lost.

    Raises:
        SchemaMismatch: another program created `collection` or the notes collection.
        FieldInvalid: the facts about the collection take more than 65,535 bytes as JSON.
        BackendError: the store failed.
    """
    collection.require_own()

    def merge(held: Collection) -> None:
        kept = held.get([collection.name]).get(collection.name)
        merged = {**_facts(kept, collection), **facts}
        text = json.dumps({"of": identity(collection), "facts": merged}, ensure_ascii=False)
        held.upsert([Record(collection.name, VECTOR, {"note": text})])
        held.flush()

    writing(store, merge)


def carry(
    source: VectorBackend, origin: Collection, target: VectorBackend, into: Collection
) -> None:
    """Copy the facts about `origin` to its copy `into`, which keeps the facts that it already has.

    Nothing is copied if the dimension, metric or encoder differs.
    """
    if identity(origin) == identity(into) and (facts := read(source, origin)):
        known = read(target, into)
        if facts.keys() - known.keys():
            write(target, into, {**facts, **known})


def opened(store: VectorBackend) -> Collection | None:
    """Return the notes collection. Returns None without one, or if another program created it.

    A store opens it once, because opening takes most of the requests of a read. Another program may
    have dropped it since; see `reading`.
    """
    if store.notes is None:
        try:
            held = store.open(NAME)
        except CollectionNotFound:
            return None
        if held.foreign:
            return None
        store.notes = held
    return store.notes


def reading(store: VectorBackend, call: Callable[[Collection], T]) -> T | None:
    """Return what `call` returns for the notes collection. Returns None without one; see `opened`.

    If another program dropped or replaced the open one, the call is repeated with the new one.
    """
    for _ in range(2):
        held = opened(store)
        if held is None:
            return None
        try:
            return call(held)
        except (CollectionNotFound, SchemaMismatch):
            store.notes = None
    return None


def writing(store: VectorBackend, call: Callable[[Collection], T]) -> T:
    """Return what `call` returns for the notes collection, which is created if it is missing.

    `call` may run twice, as for `reading`.

    Raises:
        SchemaMismatch: another program created the notes collection.
        BackendError: the store failed.
    """
    held = store.notes
    if held is not None and not held.schema.differences(SCHEMA):
        try:
            return call(held)
        except (CollectionNotFound, SchemaMismatch):
            store.notes = None
    held = store.notes = store.create(NAME, SCHEMA)
    return call(held)


def entries(store: VectorBackend, ids: Sequence[str] | None = None) -> dict[str, Any]:
    """Return facts that are not about one collection's vectors, by id; all of them without `ids`.

    Notes about collections are in the result, too, if `ids` is None.
    """

    def read_entries(held: Collection) -> dict[str, Any]:
        if ids is None:
            records: Iterable[Record] = held.iterate(vectors=False)
        else:
            records = held.get(ids).values()
        return {record.id: _parsed(record) for record in records}

    return reading(store, read_entries) or {}


def put_entry(store: VectorBackend, id_: str, facts: Mapping[str, Any]) -> None:
    """Write or replace an entry, durably. `id_` must not be a valid collection name.

    Raises: as for `write`.
    """
    text = json.dumps(facts, ensure_ascii=False)

    def put(held: Collection) -> None:
        held.upsert([Record(id_, VECTOR, {"note": text})])
        held.flush()

    writing(store, put)


def remove_entries(store: VectorBackend, ids: Sequence[str]) -> None:
    """Delete entries by id."""

    def remove(held: Collection) -> None:
        held.delete(ids)
        held.flush()

    writing(store, remove)


def identity(collection: Collection) -> dict[str, Any]:
    """Return the dimension, metric and encoder that a note is about."""
    schema = collection.schema
    encoder = schema.encoder.identity() if schema.encoder else None
    return {"dim": schema.dim, "metric": schema.metric, "encoder": encoder}


def _facts(kept: Record | None, collection: Collection) -> dict[str, Any]:
    """Return a note's facts. Empty if it is about other vectors, or imgsearch did not write it."""
    note = _parsed(kept) if kept else {}
    try:
        facts = note["facts"] if note and note["of"] == identity(collection) else {}
    except (KeyError, TypeError):
        return {}
    return dict(facts) if isinstance(facts, dict) else {}


def _parsed(record: Record) -> Any:
    """Return the JSON value of a note. Returns None if it is invalid."""
    try:
        return load_json(str(record.fields["note"]))
    except (KeyError, ValueError):
        return None
