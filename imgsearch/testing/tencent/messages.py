"""Converts gRPC requests to JSON bodies, and JSON envelopes to gRPC responses.

Numbers that are 0 and empty texts in a request count as missing, because the SDK sends missing
values in this way.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from imgsearch.testing.tencent.codes import SYNTAX, Refused
from imgsearch.testing.tencent.schema import Body

# path → the SDK's messages for the request and the response (tcvectordb 2.1.1, olama.proto)
BODIES: Final[Mapping[str, tuple[str, str]]] = {
    "/database/create": ("DatabaseRequest", "DatabaseResponse"),
    "/database/drop": ("DatabaseRequest", "DatabaseResponse"),
    "/database/list": ("DatabaseRequest", "DatabaseResponse"),
    "/collection/create": ("CreateCollectionRequest", "CreateCollectionResponse"),
    "/collection/describe": ("DescribeCollectionRequest", "DescribeCollectionResponse"),
    "/collection/list": ("ListCollectionsRequest", "ListCollectionsResponse"),
    "/collection/drop": ("DropCollectionRequest", "DropCollectionResponse"),
    "/collection/truncate": ("TruncateCollectionRequest", "TruncateCollectionResponse"),
    "/alias/set": ("AddAliasRequest", "UpdateAliasResponse"),
    "/alias/delete": ("RemoveAliasRequest", "UpdateAliasResponse"),
    "/index/rebuild": ("RebuildIndexRequest", "RebuildIndexResponse"),
    "/index/add": ("AddIndexRequest", "AddIndexResponse"),
    "/document/upsert": ("UpsertRequest", "UpsertResponse"),
    "/document/update": ("UpdateRequest", "UpdateResponse"),
    "/document/delete": ("DeleteRequest", "DeleteResponse"),
    "/document/count": ("CountRequest", "CountResponse"),
    "/document/query": ("QueryRequest", "QueryResponse"),
    "/document/search": ("SearchRequest", "SearchResponse"),
}
# request fields with the same name in the body
_PLAIN: Final = (
    "database", "collection", "alias", "description", "shardNum", "replicaNum", "buildIndex",
    "fieldName", "readConsistency",
)  # fmt: skip


def body_of(path: str, request: Any) -> Body:
    """Convert a gRPC request to the equivalent HTTP body.

    Raises:
        Refused: 15000, a text is not UTF-8, a field is not valid JSON, or the request uses sparse
            vectors or embedding models.
    """
    names = request.DESCRIPTOR.fields_by_name
    body = {name: getattr(request, name) for name in _PLAIN if name in names}
    match path:
        case "/collection/create":
            body["indexes"] = [_index(column) for column in request.indexes.values()]
            body["embedding"] = {"field": request.embeddingParams.field}
            body["ttlConfig"] = request.ttlConfig.enable
            body["filterIndexConfig"] = request.filterIndexConfig.filterAll
        case "/index/add":
            body["indexes"] = [_index(column) for column in request.indexes.values()]
            body["buildExistedData"] = request.buildExistedData
        case "/document/upsert":
            body["documents"] = [_document(document) for document in request.documents]
        case "/document/search":
            body["search"] = _search(request.search)
        case "/document/update":
            body["query"] = _condition(request.query)
            body["update"] = _document(request.update)
        case "/document/query" | "/document/count" | "/document/delete":
            body["query"] = _condition(request.query)
    return body


class Messages:
    """Converts envelopes to gRPC messages. `messages` is the SDK's module of message classes."""

    def __init__(self, messages: Any) -> None:
        self._of = messages
        self._fill: Mapping[str, Callable[[Any, Body], None]] = {
            "databases": self._databases,
            "collection": lambda message, body: self._collection(message.collection, body),
            "collections": self._collections,
            "documents": self._documents,
        }

    def answer(self, path: str, envelope: Body, response: Any) -> Any:
        """Convert the envelope of a call to a message of the class `response`."""
        message = response()
        for name, value in envelope.items():
            if name in self._fill:
                fill = self._hits if path == "/document/search" else self._fill[name]
                fill(message, value)
            elif name in ("code", "msg", "affectedCount", "count", "warning"):
                setattr(message, name, value)
        if "info" in envelope:
            for name, info in envelope["info"].items():
                message.info[name].count = info["count"]
        return message

    def _databases(self, message: Any, names: Any) -> None:
        message.databases.extend(names)

    def _collections(self, message: Any, bodies: Any) -> None:
        for body in bodies:
            self._collection(message.collections.add(), body)

    def _collection(self, message: Any, body: Body) -> None:
        for name in ("database", "collection", "description", "shardNum", "replicaNum"):
            setattr(message, name, body[name])
        message.createTime, message.document_count = body["createTime"], body["documentCount"]
        message.alias_list.extend(body["alias"])
        message.indexStatus.status = body["indexStatus"]["status"]
        message.indexStatus.startTime = body["indexStatus"]["startTime"]
        for index in body["indexes"]:
            column = message.indexes[index["fieldName"]]
            for name in ("fieldName", "fieldType", "indexType", "dimension", "metricType"):
                if name in index:
                    setattr(column, name, index[name])
            for name, value in (index.get("params") or {}).items():
                setattr(column.params, name, value)
            message.size = index.get("indexedCount", message.size)

    def _documents(self, message: Any, documents: Any) -> None:
        for document in documents:
            self._fill_document(message.documents.add(), document)

    def _hits(self, message: Any, lists: Any) -> None:
        for documents in lists:
            result = message.results.add()
            for document in documents:
                self._fill_document(result.documents.add(), document)

    def _fill_document(self, message: Any, document: Body) -> None:
        for name, value in document.items():
            match name:
                case "id":
                    message.id = value
                case "score":
                    message.score = value
                case "vector":
                    message.vector.extend(value)
                case _:
                    _fill_field(message.fields[name], value)


def _fill_field(field: Any, value: Any) -> None:
    match value:
        case str():
            field.val_str = value.encode()
        case bool() | int() if 0 <= value < 2**64:
            field.val_u64 = value
        case int() if -(2**63) <= value < 0:
            field.val_i64 = value
        case float():
            field.val_double = value
        case list() if all(isinstance(item, str) for item in value):
            field.val_str_arr.str_arr.extend(item.encode() for item in value)
        case _:
            field.val_json = json.dumps(value).encode()


def _index(column: Any) -> Body:
    index: dict[str, Any] = {
        name: getattr(column, name)
        for name in ("fieldName", "fieldType", "indexType", "dimension", "metricType")
        if getattr(column, name)
    }
    params = {
        name: getattr(column.params, name)
        for name in ("M", "efConstruction", "nlist")
        if getattr(column.params, name)
    }
    return index | ({"params": params} if params else {})


def _document(message: Any) -> Body:
    if message.sparse_vector or message.data_expr:
        raise Refused(SYNTAX, "the emulator supports neither sparse vectors nor embedding models")
    document = {name: _field(field) for name, field in message.fields.items()}
    if message.vector:
        document["vector"] = np.array(message.vector, dtype=np.float32)
    if message.id:
        document["id"] = message.id
    return document


def _field(field: Any) -> Any:
    try:
        if field.HasField("val_str"):
            return field.val_str.decode()
        if field.HasField("val_str_arr"):
            return [item.decode() for item in field.val_str_arr.str_arr]
        if field.HasField("val_json"):
            return json.loads(field.val_json)
    except ValueError:
        raise Refused(SYNTAX, "a field is not UTF-8, or not JSON") from None
    for name in ("val_u64", "val_i64", "val_double"):
        if field.HasField(name):
            return getattr(field, name)
    return None


def _condition(message: Any) -> Body:
    condition: dict[str, Any] = {"retrieveVector": message.retrieveVector}
    if message.documentIds:
        condition["documentIds"] = list(message.documentIds)
    for name in ("filter", "limit", "offset"):
        if getattr(message, name):
            condition[name] = getattr(message, name)
    if message.outputFields:
        condition["outputFields"] = list(message.outputFields)
    if message.sort:
        condition["sort"] = [
            {"fieldName": rule.fieldName, "direction": "desc" if rule.desc else "asc"}
            for rule in message.sort
        ]
    return condition


def _search(message: Any) -> Body:
    search: dict[str, Any] = {
        "retrieveVector": message.retrieveVector,
        "outputFields": list(message.outputfields),
        "aggregate": bool(message.aggregate.groupBy),
        "embeddingItems": list(message.embeddingItems),
    }
    if message.vectors:
        search["vectors"] = [np.array(item.vector, dtype=np.float32) for item in message.vectors]
    if message.documentIds:
        search["documentIds"] = list(message.documentIds)
    for name in ("filter", "limit"):
        if getattr(message, name):
            search[name] = getattr(message, name)
    params = {name: getattr(message.params, name) for name in ("ef", "nprobe", "radius")}
    search["params"] = {name: value for name, value in params.items() if value}
    if message.range:
        search["radius"] = message.params.radius
    return search
