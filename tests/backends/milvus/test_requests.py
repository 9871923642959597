"""Requests to a Milvus server: how many a write and a read of notes take."""

from typing import Any

import numpy as np
import pytest
from grpc import _channel

from imgsearch.backends import Index, Schema, notes
from imgsearch.backends.collection import Collection
from imgsearch.backends.milvus.backend import Backend
from imgsearch.backends.milvus.collection import MilvusCollection
from imgsearch.testing.contract.bench import records
from imgsearch.types import Fingerprint


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the requests that gRPC sends from now on."""
    sent: list[str] = []
    prepare = _channel._UnaryUnaryMultiCallable._prepare

    def recorded(call: Any, *arguments: Any) -> Any:
        method = call._method
        name = method.decode() if isinstance(method, bytes) else method
        sent.append(name.rpartition("/")[2])
        return prepare(call, *arguments)

    monkeypatch.setattr(_channel._UnaryUnaryMultiCallable, "_prepare", recorded)
    return sent


def delay_checks(collection: Collection | None) -> None:
    """Delay the next check of the whole description, as if the last one had taken long."""
    assert isinstance(collection, MilvusCollection)
    collection._identity._due = np.inf


def test_write_takes_one_request_to_check_the_collection(
    store: Backend, requests: list[str]
) -> None:
    schema = Schema(4, index=Index("flat"), fields={"n": "int"}, encoder=Fingerprint("toy", 4))
    collection = store.create("requests", schema)
    try:
        collection.upsert(records(["猫"]))
        delay_checks(collection)
        requests.clear()
        collection.upsert(records(["犬"]))
        assert requests == ["DescribeCollection", "Upsert"]
        notes.write(store, collection, {"x": 1})
        delay_checks(store.notes)
        requests.clear()
        assert notes.read(store, collection) == {"x": 1}
        notes.entries(store, ["a/b"])
        assert requests == ["Query"] * 2
    finally:
        store.drop("requests")
        store.drop(notes.NAME)
