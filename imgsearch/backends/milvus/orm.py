"""Writes and searches pymilvus' `Collection` objects, which code for Towhee 0.x passes along.

The program has connected to Milvus itself, and its connection is used.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pymilvus

from imgsearch.backends.milvus.connection import DRIVER_ERRORS
from imgsearch.backends.milvus.errors import translated
from imgsearch.backends.milvus.rows import search_params
from imgsearch.backends.rows import matrix
from imgsearch.errors import ConfigError, FieldInvalid
from imgsearch.settings import TIMEOUT
from imgsearch.types import MAX_K

_VECTOR: Final = pymilvus.DataType.FLOAT_VECTOR


def insert(collection: Any, columns: Sequence[Sequence[Any]]) -> Any:
    """Write rows, given as columns in the schema's order; return pymilvus' result.

    `collection` is a `Collection`, or the name of one on the connection "default".

    Raises:
        FieldInvalid: the rows do not match the schema.
        BackendError: Milvus rejected the rows.
    """
    rows = _collection(collection)
    with _translating(rows):
        try:
            return rows.insert([list(column) for column in columns], timeout=TIMEOUT)
        except (pymilvus.exceptions.ParamError, pymilvus.exceptions.DataNotMatchException) as error:
            raise FieldInvalid(f"collection {rows.name!r}: {error}") from error


def finish(collection: Any) -> None:
    """Make written rows searchable, and let `num_entities` count them.

    Raises:
        BackendError: the call failed.
    """
    rows = _collection(collection)
    with _translating(rows):
        rows.flush(timeout=TIMEOUT)
        rows.load(timeout=TIMEOUT)


def search(
    collection: Any,
    vector: Any,
    *,
    limit: int = 10,
    anns_field: str | None = None,
    param: dict[str, Any] | None = None,
    metric_type: str | None = None,
    output_fields: Sequence[str] = (),
    expr: str | None = None,
) -> list[dict[str, Any]]:
    """Return the nearest rows, with ``id``, ``score``, an equal ``distance``, and the fields.

    The metric and the default parameters are those of the index, as for `MilvusRows.search`.

    Raises:
        ConfigError: `limit` is not in 1 to 16,384, or `metric_type` is not the index's metric.
        FieldInvalid: the collection has no float vectors.
        BackendError: Milvus rejected the search.
    """
    if not 1 <= limit <= MAX_K:
        raise ConfigError(f"limit must be in 1 to {MAX_K:,}, not {limit}")
    rows = _collection(collection)
    with _translating(rows):
        fields = [field.name for field in rows.schema.fields if field.dtype == _VECTOR]
        name = anns_field or next(iter(fields), None)
        if name is None:
            raise FieldInvalid(f"collection {rows.name!r} has no float vectors.")
        kinds = {index.field_name: index.params for index in rows.indexes}
        index = kinds.get(name)
        (hits,) = rows.search(
            data=matrix(vector).tolist(),
            anns_field=name,
            param=search_params(
                (index["index_type"], index["metric_type"]) if index else None,
                limit,
                param,
                metric_type,
            ),
            limit=limit,
            expr=expr,
            output_fields=list(output_fields),
            consistency_level="Session",
            timeout=TIMEOUT,
        )
    return [
        {"id": hit.id, "score": hit.distance, "distance": hit.distance}
        | {field: hit.fields.get(field) for field in output_fields}
        for hit in hits
    ]


def _collection(collection: Any) -> Any:
    """Return a `Collection`.

    Raises:
        ConfigError: `collection` is neither a `Collection` nor a name.
        BackendError: no collection has the name, or the program has not connected.
    """
    if isinstance(collection, pymilvus.Collection):
        return collection
    if not isinstance(collection, str):
        raise ConfigError(
            f"collection must be pymilvus' Collection or its name, not {collection!r:.80}"
        )
    try:
        return pymilvus.Collection(collection)
    except DRIVER_ERRORS as error:
        raise translated(error, "milvus", TIMEOUT) from error


@contextmanager
def _translating(collection: Any) -> Iterator[None]:
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translated(error, f"collection {collection.name!r}", TIMEOUT) from error
