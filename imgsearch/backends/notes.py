"""Notes: facts about collections, kept in the store itself, in a small collection beside them.

A collection's own description cannot be changed in every store, a record can. Notes are made when
the first is written. Each says whose vectors it is about, so that one of another encoder or metric
counts for nothing.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from imgsearch import safe_json
from imgsearch.backends.base import VectorBackend
from imgsearch.backends.collection import Collection
from imgsearch.backends.schema import Index, Schema
from imgsearch.errors import CollectionNotFound
from imgsearch.types import Record

NAME: Final = "imgsearch_notes"
"""The collection that holds the notes: a record for each collection, its id that one's name."""

_SCHEMA: Final = Schema(2, index=Index("flat"))  # Milvus refuses vectors of one dimension
_VECTOR: Final = np.array([1, 0], dtype=np.float32)  # every record has one; nobody searches here


def read(store: VectorBackend, collection: Collection) -> dict[str, Any]:
    """Return what is noted about `collection`, by name; nothing where that is of other vectors.

    A collection that was dropped and made again by the same encoder has the old one's notes.
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
    """Note `facts`, plain values for JSON, beside what is noted under other names.

    Two programs that write about one collection at once may lose one's facts.

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
    """Note about a copy what is noted about its `origin`; what the copy has already stays."""
    if _identity(origin) == _identity(into) and (facts := read(source, origin)):
        there = read(target, into)
        if facts.keys() - there.keys():
            write(target, into, {**facts, **there})


def collections(store: VectorBackend) -> list[str]:
    """Return the names of a store's collections, sorted, without that of the notes."""
    return [name for name in store.names() if name != NAME]


def _identity(collection: Collection) -> dict[str, Any]:
    schema = collection.schema
    encoder = schema.encoder.identity() if schema.encoder else None
    return {"dim": schema.dim, "metric": schema.metric, "encoder": encoder}


def _facts(kept: Record | None, collection: Collection) -> dict[str, Any]:
    """Return a note's facts; none where it is not of these vectors, or is no note of ours."""
    try:
        note = safe_json.loads(str(kept.fields["note"])) if kept else {}
        facts = note["facts"] if note and note["of"] == _identity(collection) else {}
    except (KeyError, TypeError, ValueError):
        return {}
    return dict(facts) if isinstance(facts, dict) else {}
