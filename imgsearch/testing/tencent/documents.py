"""Implements the calls for documents."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from imgsearch.testing.tencent.codes import (
    BAD_PARAMETER,
    FLAT_NO_DELETE,
    FLAT_NO_UPDATE,
    INDEX_BUILDING,
    SYNTAX,
    Refused,
)
from imgsearch.testing.tencent.filters import Predicate, parse
from imgsearch.testing.tencent.schema import Body, Document, Floats, identity, named, whole
from imgsearch.testing.tencent.search import matching, nearest, sort_key
from imgsearch.testing.tencent.store import Collection, Store, View

MAX_UPSERT: Final = 1000  # documents
MAX_QUERIES: Final = 20  # vectors in a search
MAX_IDS: Final = 20
MAX_LIMIT: Final = 16_384
LIMIT: Final = 10  # the default number of documents


class _Target(NamedTuple):
    """The collection of a call, and the condition that selects its documents."""

    database: str
    collection: Collection
    ids: list[str] | None
    where: Predicate | None
    condition: Body


def upsert(store: Store, body: Body) -> Body:
    """Insert or replace documents by id. Of documents with the same id, the last one is kept."""
    with store.lock:
        target = _target(store, body, "")
        items = body.get("documents")
        if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
            raise Refused(SYNTAX, "documents must be a list of objects")
        if not 1 <= len(items) <= MAX_UPSERT:
            raise Refused(BAD_PARAMETER, f"{len(items)} documents: pass 1 to {MAX_UPSERT}")
        documents = [target.collection.schema.document(item) for item in items]
        store.put(target.database, target.collection, documents)
        ids = {document.id for document in documents}
        if body.get("buildIndex", True):
            target.collection.building = store.faults.building
            target.collection.unindexed -= ids
        elif not target.collection.schema.vector.kind.startswith("IVF"):  # whose training counts
            target.collection.unindexed |= ids
        return {"affectedCount": len(documents)}


def update(store: Store, body: Body) -> Body:
    """Set fields or the vector of the documents that match a condition."""
    with store.lock:
        target = _target(store, body, "query")
        _refuse_flat(store, target.collection, FLAT_NO_UPDATE, "update")
        values = body.get("update")
        if not isinstance(values, Mapping) or not values or "id" in values:
            raise Refused(SYNTAX, "update must be an object with fields, and without an id")
        schema = target.collection.schema
        new: dict[str, Any] = {}
        if "vector" in values:
            new["vector"] = schema.row(values["vector"])
        fields = schema.fields({name: values[name] for name in values if name != "vector"})
        changed = [
            dataclasses.replace(document, fields={**document.fields, **fields}, **new)
            for document in _chosen(target)
        ]
        store.put(target.database, target.collection, changed)
        return {"affectedCount": len(changed), "warning": ""}


def delete(store: Store, body: Body) -> Body:
    """Delete the documents that match a condition, at most `limit` if it is set."""
    with store.lock:
        target = _target(store, body, "query")
        _refuse_flat(store, target.collection, FLAT_NO_DELETE, "delete")
        ids = [document.id for document in _chosen(target)]
        if "limit" in target.condition:
            ids = ids[: whole(target.condition["limit"], "limit", 1, MAX_LIMIT)]
        store.remove(target.database, target.collection, ids)
        return {"affectedCount": len(ids)}


def count(store: Store, body: Body) -> Body:
    """Return the number of documents that match a condition."""
    with store.lock:
        target = _target(store, {"query": {}, **body}, "query")
        view = _view(target.collection, body)
    return {"count": len(matching(view, target.ids, target.where))}


def query(store: Store, body: Body) -> Body:
    """Return one page of the documents that match a condition, and their total number."""
    with store.lock:
        target = _target(store, body, "query")
        condition, types = target.condition, target.collection.schema.types
        default = LIMIT if target.ids is None else len(target.ids)
        limit = whole(condition.get("limit", default), "limit", 1, MAX_LIMIT)
        offset = whole(condition.get("offset", 0), "offset", 0, 2**63 - 1)
        rules = _sort_rules(condition.get("sort") or [], types)
        view = _view(target.collection, body)
    documents = matching(view, target.ids, target.where)
    for field, down in reversed(rules):
        documents.sort(key=lambda document: sort_key(document, field), reverse=down)
    page = documents[offset : offset + limit]
    return {"count": len(documents), "documents": [_output(item, condition) for item in page]}


def search(store: Store, body: Body) -> Body:
    """Return the nearest documents for each query, which is a vector or a document id."""
    with store.lock:
        target = _target(store, body, "search")
        condition, collection = target.condition, target.collection
        _check_search(condition, collection)
        radius = condition.get("radius", (condition.get("params") or {}).get("radius"))
        if radius is not None and (isinstance(radius, bool) or not isinstance(radius, int | float)):
            raise Refused(BAD_PARAMETER, "radius must be a number")
        limit = whole(condition.get("limit", LIMIT), "limit", 1, MAX_LIMIT)
        if collection.is_building():
            raise Refused(INDEX_BUILDING, "the index is building")
        view = _view(collection, body)
        queries = _queries(target, view)
    results = nearest(
        view,
        queries,
        metric=collection.schema.vector.metric,
        limit=limit,
        radius=radius,
        where=target.where,
    )
    documents = [
        [{**_output(item, condition), "score": score} for item, score in hits] for hits in results
    ]
    return {"documents": documents, "warning": ""}


def _target(store: Store, body: Body, key: str) -> _Target:
    """Parse the target of a call. `key` is the condition's name in the body, "" without one."""
    database = named(body.get("database"), "database")
    collection = store.collection(database, named(body.get("collection"), "collection"))
    condition = body.get(key) if key else {}
    if not isinstance(condition, Mapping):
        raise Refused(SYNTAX, f"{key} must be an object")
    ids, where = condition.get("documentIds"), condition.get("filter")
    if ids is not None:
        if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_IDS:
            raise Refused(BAD_PARAMETER, f"documentIds must be a list of 1 to {MAX_IDS} ids")
        ids = [identity(id_) for id_ in ids]
    if where is not None and not isinstance(where, str):
        raise Refused(SYNTAX, "filter must be a string")
    predicate = parse(where, collection.schema.types) if where else None
    return _Target(database, collection, ids, predicate, condition)


def _chosen(target: _Target) -> list[Document]:
    """Return the documents to update or delete. A condition is required."""
    if target.ids is None and target.where is None:
        raise Refused(SYNTAX, "pass documentIds or a filter")
    ids = target.ids and [*dict.fromkeys(target.ids)]
    return matching(target.collection.view(), ids, target.where)


def _refuse_flat(store: Store, collection: Collection, code: int, operation: str) -> None:
    if store.faults.flat_frozen and collection.schema.vector.kind == "FLAT":
        raise Refused(code, f"a FLAT index does not support {operation}")


def _view(collection: Collection, body: Body) -> View:
    consistency = body.get("readConsistency") or "eventualConsistency"
    if consistency not in ("eventualConsistency", "strongConsistency"):
        raise Refused(BAD_PARAMETER, f"readConsistency {consistency!r} is unknown")
    return collection.view(strong=consistency == "strongConsistency")


def _check_search(condition: Body, collection: Collection) -> None:
    for option in ("aggregate", "embeddingItems"):
        if condition.get(option):
            raise Refused(SYNTAX, f"the emulator does not support {option}")
    params = condition.get("params") or {}
    if not isinstance(params, Mapping):
        raise Refused(SYNTAX, "params must be an object")
    if "ef" in params:
        whole(params["ef"], "ef", 1, 32_768)
    if "nprobe" in params:
        nlist = collection.schema.vector.params.get("nlist", 65_536)
        whole(params["nprobe"], "nprobe", 1, nlist)


def _queries(target: _Target, view: View) -> Floats:
    """Return the query vectors, shape (n, d). Ids select the documents to use as queries."""
    vectors, schema = target.condition.get("vectors"), target.collection.schema
    if (vectors is None) == (target.ids is None):
        raise Refused(SYNTAX, "pass either vectors or documentIds")
    if target.ids is not None:
        missing = [id_ for id_ in target.ids if id_ not in view.documents]
        if missing:
            raise Refused(BAD_PARAMETER, f"document not exist: {missing[0]!r}")
        return np.stack([view.documents[id_].vector for id_ in target.ids])
    if not isinstance(vectors, list) or not 1 <= len(vectors) <= MAX_QUERIES:
        raise Refused(BAD_PARAMETER, f"vectors must be a list of 1 to {MAX_QUERIES} vectors")
    return np.stack([schema.row(vector) for vector in vectors])


def _sort_rules(rules: object, types: Mapping[str, str]) -> list[tuple[str, bool]]:
    """Return the sort rules as pairs of a field and whether the order is descending."""
    if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
        raise Refused(SYNTAX, "sort must be a list of objects")
    fields = []
    for rule in rules:
        field, direction = rule.get("fieldName"), rule.get("direction", "asc")
        if direction not in ("asc", "desc"):
            raise Refused(SYNTAX, "the sort rule direction must be asc or desc")
        if field != "id" and types.get(str(field), "array") == "array":
            raise Refused(BAD_PARAMETER, f"cannot sort by {field!r}: it has no filter index")
        fields.append((str(field), direction == "desc"))
    return fields


def _output(document: Document, condition: Body) -> dict[str, Any]:
    """Convert a document to its form in a response."""
    wanted = condition.get("outputFields")
    fields = {
        name: value for name, value in document.fields.items() if not wanted or name in wanted
    }
    vector = {"vector": document.vector} if condition.get("retrieveVector") else {}
    return {"id": document.id, **vector, **fields}


CALLS: Mapping[str, Callable[[Store, Body], Body]] = {
    "/document/upsert": upsert,
    "/document/update": update,
    "/document/delete": delete,
    "/document/count": count,
    "/document/query": query,
    "/document/search": search,
}
