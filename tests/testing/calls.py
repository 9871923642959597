"""Short calls of the SDK for the emulator's tests."""

from typing import Any

import pytest

VECTORS = {"a": [1.0, 2.0, 2.0], "b": [2.0, 0.0, 1.0], "c": [-1.0, -2.0, -2.0]}
FIELDS = (("path", "string"), ("year", "uint64"), ("shift", "int64"), ("size", "double"))


def index(dim: int = 3, *, kind: str = "HNSW", metric: str = "COSINE", params: Any = None) -> Any:
    """Return an SDK index with `FIELDS` and an array "tags" to filter on."""
    from tcvectordb.model.enum import FieldType, IndexType, MetricType
    from tcvectordb.model.index import FilterIndex, Index, VectorIndex

    fields = [*FIELDS, ("tags", "array")]
    return Index(
        FilterIndex("id", FieldType.String, IndexType.PRIMARY_KEY),
        VectorIndex("vector", dim, IndexType(kind), MetricType(metric), params),
        *(FilterIndex(name, FieldType(type_), IndexType.FILTER) for name, type_ in fields),
    )


def collection(client: Any, name: str = "photos", database: str = "db", **options: Any) -> Any:
    """Create a collection, and its database if missing."""
    db = client.create_database_if_not_exists(database)
    return db.create_collection(name, shard=3, replicas=0, index=index(**options))


def filled(client: Any, **options: Any) -> Any:
    """Return a new collection that holds `VECTORS`, with years 2001 to 2003 and other fields."""
    photos = collection(client, **options)
    photos.upsert(
        [
            {"id": id_, "vector": vector, "path": f"写真/{id_}.png", "year": 2001 + i,
             "shift": -i, "size": i / 2, "tags": ["all", id_], "note": "undeclared 🐟"}
            for i, (id_, vector) in enumerate(VECTORS.items())
        ]
    )  # fmt: skip
    return photos


def refused(code: int) -> Any:
    """Return a context that expects an error code from the service."""
    from tcvectordb.exceptions import ServerInternalError

    return _Refused(ServerInternalError, code)


class _Refused:
    def __init__(self, kind: type[Exception], code: int) -> None:
        self.raises, self.code = pytest.raises(kind), code

    def __enter__(self) -> Any:
        self.caught = self.raises.__enter__()
        return self.caught

    def __exit__(self, *error: object) -> bool:
        suppressed = self.raises.__exit__(*error)  # type: ignore[arg-type]  # passed on as they came
        assert self.caught.value.code == self.code, self.caught.value
        return bool(suppressed)


def ids(documents: list[dict[str, Any]]) -> list[str]:
    """Return the ids of documents, in order."""
    return [document["id"] for document in documents]
