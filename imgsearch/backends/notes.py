"""Notes: facts about collections, in a small collection of the same store.

Not every store can change the description of a collection, but all can change a record. The first
note creates the collection. A note records the encoder and the metric of its collection, and is
ignored if they differ.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from imgsearch.backends.base import VectorBackend
from imgsearch.backends.collection import Collection
from imgsearch.backends.schema import Index, Schema
from imgsearch.errors import CollectionNotFound
from imgsearch.text import load_json
from imgsearch.types import Record

NAME: Final = "imgsearch_notes"
"""The collection of the notes: one record for each collection, with its name as id."""

_SCHEMA: Final = Schema(2, index=Index("flat"))  # Milvus rejects vectors of one dimension
_VECTOR: Final = np.array([1, 0], dtype=np.float32)  # required in every record, never searched


def read(store: VectorBackend, collection: Collection) -> dict[str, Any]:
    """Return the facts about `collection` by name, empty if they are about other vectors.

    A collection that was dropped and created again with the same encoder keeps its notes.
    """
    if collection.foreign:
        return {}
    try:
        notes = store.open(NAME)
    except CollectionNotFound:
        return {}
    if notes.foreign:
        return {}
    return _facts(notes.get([collection.name]).get(collection.name), collection)


def write(store: VectorBackend, collection: Collection, facts: Mapping[str, Any]) -> None:
    """Add or replace facts about a collection, as plain values for JSON.

    Two programs that write about one collection at the same time may lose facts of one of them.

    Raises:
        SchemaMismatch: another program created `collection` or the collection of notes.
        FieldInvalid: all facts about the collection take more than 65,535 bytes as JSON.
        BackendError: the store failed.
    """
    collection.require_own()
    notes = store.create(NAME, _SCHEMA)
    kept = notes.get([collection.name]).get(collection.name)
    merged = {**_facts(kept, collection), **facts}
    text = json.dumps({"of": _identity(collection), "facts": merged}, ensure_ascii=False)
    notes.upsert([Record(collection.name, _VECTOR, {"note": text})])
    notes.flush()


def carry(
    source: VectorBackend, origin: Collection, target: VectorBackend, into: Collection
) -> None:
    """Copy the facts about `origin` to its copy `into`, which keeps facts that it has."""
    if _identity(origin) == _identity(into) and (facts := read(source, origin)):
        known = read(target, into)
        if facts.keys() - known.keys():
            write(target, into, {**facts, **known})


def collections(store: VectorBackend) -> list[str]:
    """Return the names of a store's collections, sorted, without the collection of notes."""
    return [name for name in store.names() if name != NAME]


def _identity(collection: Collection) -> dict[str, Any]:
    schema = collection.schema
    encoder = schema.encoder.identity() if schema.encoder else None
    return {"dim": schema.dim, "metric": schema.metric, "encoder": encoder}


def _facts(kept: Record | None, collection: Collection) -> dict[str, Any]:
    """Return a note's facts, empty if it is about other vectors or not written by imgsearch."""
    try:
        note = load_json(str(kept.fields["note"])) if kept else {}
        facts = note["facts"] if note and note["of"] == _identity(collection) else {}
    except (KeyError, TypeError, ValueError):
        return {}
    return dict(facts) if isinstance(facts, dict) else {}
