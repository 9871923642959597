"""Implements the calls for databases, collections, aliases and indexes."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from imgsearch.testing.tencent.codes import (
    BAD_PARAMETER,
    COLLECTION_EXISTS,
    DATABASE_EXISTS,
    INDEX_BUILDING,
    SYNTAX,
    Refused,
)
from imgsearch.testing.tencent.schema import Body, named, schema, whole
from imgsearch.testing.tencent.store import Collection, Database, Store

# options of the service that the emulator does not support
_UNSUPPORTED = ("ttlConfig", "filterIndexConfig")


def create_database(store: Store, body: Body) -> Body:
    """Create a database."""
    name = named(body.get("database"), "database")
    if name in store.databases:
        raise Refused(DATABASE_EXISTS, f"Database already exist: {name}")
    store.change("create database", name)
    return {"affectedCount": 1}


def drop_database(store: Store, body: Body) -> Body:
    """Delete a database and its collections."""
    name = named(body.get("database"), "database")
    store.database(name)
    store.change("drop database", name)
    return {"affectedCount": 1}


def list_databases(store: Store, body: Body) -> Body:  # noqa: ARG001 — every call has a body
    """Return the names and metadata of all databases."""
    info = {
        name: {
            "createTime": moment(database.created),
            "dbType": "BASE_DB",
            "count": len(database.collections),
        }
        for name, database in sorted(store.databases.items())
    }
    return {"databases": list(info), "info": info}


def create_collection(store: Store, body: Body) -> Body:
    """Create a collection."""
    database = store.database(named(body.get("database"), "database"))
    name = named(body.get("collection"), "collection")
    if name in database.collections or name in database.aliases:
        raise Refused(COLLECTION_EXISTS, f"Collection already exist: {name}")
    for option in _UNSUPPORTED:
        if body.get(option):
            raise Refused(SYNTAX, f"the emulator does not support {option}")
    if (body.get("embedding") or {}).get("field"):
        raise Refused(SYNTAX, "the emulator does not support embedding models")
    declared = {
        "shardNum": whole(body.get("shardNum"), "shardNum", 1, 100),
        "replicaNum": whole(body.get("replicaNum"), "replicaNum", 0, 9),
        "description": str(body.get("description") or ""),
        "indexes": body.get("indexes"),
    }
    schema(declared["indexes"])
    store.change("create", str(body["database"]), name, declared=declared)
    return {"affectedCount": 1}


def describe_collection(store: Store, body: Body) -> Body:
    """Return the metadata of a collection."""
    database, collection = _find(store, body)
    building = collection.is_building()
    return {"collection": _description(str(body["database"]), database, collection, building)}


def list_collections(store: Store, body: Body) -> Body:
    """Return the metadata of all collections in a database."""
    name = named(body.get("database"), "database")
    database = store.database(name)
    return {
        "collections": [
            _description(name, database, collection, collection.building > 0)
            for _, collection in sorted(database.collections.items())
        ]
    }


def drop_collection(store: Store, body: Body) -> Body:
    """Delete a collection, its documents and its aliases."""
    _, collection = _find(store, body, alias=False)
    store.change("drop", str(body["database"]), collection.name)
    return {"affectedCount": 1}


def truncate_collection(store: Store, body: Body) -> Body:
    """Delete all documents in a collection."""
    _, collection = _find(store, body, alias=False)
    before = len(collection.documents)
    collection.delay(store.faults.lag)
    store.change("truncate", str(body["database"]), collection.name)
    return {"affectedCount": before}


def set_alias(store: Store, body: Body) -> Body:
    """Create an alias for a collection, or move an existing alias to it."""
    database, collection = _find(store, body, alias=False)
    alias = named(body.get("alias"), "alias")
    if alias in database.collections:
        raise Refused(BAD_PARAMETER, f"{alias!r} is the name of a collection")
    store.change("set alias", str(body["database"]), collection.name, alias=alias)
    return {"affectedCount": 1}


def delete_alias(store: Store, body: Body) -> Body:
    """Delete an alias. A missing alias is ignored."""
    name = named(body.get("database"), "database")
    database, alias = store.database(name), named(body.get("alias"), "alias")
    if alias not in database.aliases:
        return {"affectedCount": 0}
    store.change("delete alias", name, alias=alias)
    return {"affectedCount": 1}


def rebuild_index(store: Store, body: Body) -> Body:
    """Rebuild the vector index. `Faults.building` calls see it being built."""
    _, collection = _find(store, body)
    if body.get("fieldName") not in (None, "", "vector"):
        raise Refused(BAD_PARAMETER, f"vector index {body['fieldName']!r} does not exist")
    if collection.is_building():
        raise Refused(INDEX_BUILDING, "the index is building")
    collection.building = store.faults.building
    collection.unindexed.clear()
    return {"task_ids": []}


def add_index(store: Store, body: Body) -> Body:
    """Add filter indexes to a collection. Its documents get the declared types.

    A document with a value of another type is an error: that is a guess.
    """
    _, collection = _find(store, body)
    indexes = body.get("indexes")
    if not isinstance(indexes, list) or not indexes:
        raise Refused(SYNTAX, "indexes must be a list of objects")
    wider = collection.wider(indexes)  # checks them
    if body.get("buildExistedData") is False and any(
        index["fieldName"] in document.fields
        for index in indexes
        for document in wider.documents.values()
    ):
        raise Refused(BAD_PARAMETER, "the emulator indexes existing data only")
    store.change("add indexes", str(body["database"]), collection.name, indexes=indexes)
    collection.building = store.faults.building
    return {}


def moment(seconds: float) -> str:
    """Format a time in the service's format, in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _find(store: Store, body: Body, *, alias: bool = True) -> tuple[Database, Collection]:
    database = named(body.get("database"), "database")
    name = named(body.get("collection"), "collection")
    return store.database(database), store.collection(database, name, alias=alias)


def _description(name: str, database: Database, collection: Collection, building: bool) -> Body:  # noqa: FBT001 — private, and a fact rather than an option
    count = len(collection.documents)
    indexed = 0 if building else count - len(collection.unindexed & collection.documents.keys())
    indexes = [
        index | ({"indexedCount": indexed} if _is_vector(index) else {})
        for index in collection.declared["indexes"]
    ]
    return {
        **collection.declared,
        "database": name,
        "collection": collection.name,
        "indexes": indexes,
        "documentCount": count,
        "alias": database.aliases_of(collection.name),
        "createTime": moment(collection.created),
        "indexStatus": {
            "status": "building index" if building else "ready",
            "startTime": moment(collection.created),
        },
    }


def _is_vector(index: Mapping[str, Any]) -> bool:
    return bool(index["fieldType"] == "vector")


CALLS: Mapping[str, Callable[[Store, Body], Body]] = {
    "/database/create": create_database,
    "/database/drop": drop_database,
    "/database/list": list_databases,
    "/collection/create": create_collection,
    "/collection/describe": describe_collection,
    "/collection/list": list_collections,
    "/collection/drop": drop_collection,
    "/collection/truncate": truncate_collection,
    "/alias/set": set_alias,
    "/alias/delete": delete_alias,
    "/index/rebuild": rebuild_index,
    "/index/add": add_index,
}
