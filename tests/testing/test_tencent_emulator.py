"""Databases, collections, aliases, keys and ports, by the real SDK over HTTP and gRPC."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import imgsearch.testing.tencent
from imgsearch.errors import ConfigError
from imgsearch.testing.tencent import Emulator
from tests.testing.calls import VECTORS, collection, filled, ids, index, refused
from tests.testing.conftest import KEY


def test_databases_are_created_listed_and_dropped(client, protocol):
    client.create_database("one")
    client.create_database("two")
    collection(client, database="two")
    assert {db.database_name: db.collection_count for db in client.list_databases()} == {
        "one": 0,
        "two": 1,
    }
    assert client.drop_database("one")["affectedCount"] == 1
    assert [db.database_name for db in client.list_databases()] == ["two"]
    with refused(15201):
        client.create_database("two")
    with refused(15000):
        client.create_database("2 多")
    if protocol == "http":
        assert client.drop_database("one") is None  # the SDK swallows "not exist"
    else:
        with refused(15301):
            client.drop_database("one")


@pytest.mark.parametrize(
    ("kind", "params", "seen"),
    [
        ("FLAT", {}, None),
        ("HNSW", {"M": 16, "efConstruction": 200}, {"M": 16, "efConstruction": 200}),
        ("IVF_FLAT", {"nlist": 8}, {"nlist": 8}),
        ("IVF_SQ8", {"nlist": 8}, {"nlist": 8}),
        ("IVF_PQ", {"nlist": 8, "M": 3}, {"nlist": 8, "M": 3}),
    ],
)
@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_describe_returns_the_collection_as_created(client, kind, params, seen, metric):
    db = client.create_database("db")
    new_index = index(kind=kind, metric=metric, params=params)
    db.create_collection("photos", shard=3, replicas=2, description="写真", index=new_index)
    photos = client.describe_collection("db", "photos")
    assert (photos.shard, photos.replicas, photos.description) == (3, 2, "写真")
    assert photos.document_count == 0
    assert photos.index_status["status"] == "ready"
    vector = photos.index.indexes["vector"]
    assert (vector.dimension, vector.indexType.value, vector.metricType.value) == (3, kind, metric)
    assert (vector.param or None) == seen
    assert photos.index.indexes["year"].field_type.value == "uint64"
    assert photos.index.indexes["id"].is_primary_key()
    assert [listed.collection_name for listed in db.list_collections()] == ["photos"]


def test_missing_and_existing_collections_have_their_codes(client, protocol):
    photos = collection(client)
    with refused(15202):
        collection(client)
    with refused(15302):
        client.describe_collection("db", "nothing")
    with refused(15301):
        client.describe_collection("nowhere", "photos")
    assert client.exists_collection("db", "photos")
    assert not client.exists_collection("db", "nothing")
    again = client.create_collection_if_not_exists("db", "photos", 1, 0, index=index(dim=9))
    # the existing collection, not the requested dimension
    assert again.index.indexes["vector"].dimension == 3
    assert client.drop_collection("db", "photos")["affectedCount"] == 1
    with refused(15302):
        photos.count()
    if protocol == "http":
        assert client.drop_collection("db", "photos") is None
    else:
        with refused(15302):
            client.drop_collection("db", "photos")


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (14100, {"dim": 0}),
        (14100, {"dim": 4097}),
        (14100, {"kind": "DISK_FLAT"}),
        (14100, {"metric": "Hamming"}),
        (14100, {"params": {"M": 2, "efConstruction": 200}}),
        (14100, {"params": {"M": 16, "efConstruction": 600}}),
        (14100, {"kind": "IVF_FLAT", "params": {"nlist": 65_537}}),
        (14100, {"kind": "IVF_PQ", "dim": 5, "params": {"nlist": 8, "M": 2}}),
    ],
)
def test_index_parameters_out_of_range_are_rejected(client, code, options):
    with refused(code):
        collection(client, **options)
    assert not client.exists_collection("db", "photos")


def test_unknown_options_are_rejected(client):
    from tcvectordb.model.collection import Embedding, FilterIndexConfig

    db = client.create_database("db")
    for option in (
        {"ttl_config": {"enable": True, "timeField": "year"}},
        {"filter_index_config": FilterIndexConfig(filter_all=True)},
        {"embedding": Embedding(vector_field="vector", field="text", model_name="bge-base-zh")},
    ):
        with refused(15000):
            db.create_collection("photos", 1, 0, index=index(), **option)
    with refused(15000):
        db.create_collection("photos", 1, 0)


def test_unsupported_calls_fail(client, protocol):
    from tcvectordb.exceptions import GrpcException, ServerInternalError
    from tcvectordb.model.document import AnnSearch

    photos = filled(client)
    with pytest.raises(ServerInternalError if protocol == "http" else GrpcException) as error:
        photos.hybrid_search(ann=AnnSearch(data=VECTORS["a"]), limit=1)
    assert error.value.code == (404 if protocol == "http" else -1)
    with refused(15000):
        photos.upsert([{"id": "a", "vector": "a text to embed"}]) if protocol == "grpc" else (
            photos.searchByText(["a text to embed"])
        )


def test_truncate_keeps_the_collection(client):
    photos = filled(client)
    assert client.truncate_collection("db", "photos")["affectedCount"] == 3
    assert photos.count() == 0
    assert client.describe_collection("db", "photos").index.indexes["vector"].dimension == 3


def test_alias_works_in_every_document_call(client, protocol):
    filled(client)
    other = collection(client, name="new")
    db = client.database("db")
    assert db.set_alias("photos", "live")["affectedCount"] == 1
    live = db.describe_collection("live")
    assert live.collection_name == "photos"
    assert live.alias == (["live"] if protocol == "http" else "live")
    live.upsert([{"id": "d", "vector": [1.0, 0.0, 0.0]}])
    assert live.count() == 4
    assert ids(live.query(["d"])) == ["d"]
    assert ids(live.search([[1.0, 0.0, 0.0]], limit=1)[0]) == ["d"]
    assert live.update({"year": 1}, document_ids=["d"])["affectedCount"] == 1
    assert live.delete(["d"])["affectedCount"] == 1
    assert client.count("db", "live") == 3
    db.set_alias("new", "live")
    assert client.count("db", "live") == 0
    other.upsert([{"id": "x", "vector": [1.0, 0.0, 0.0]}])
    assert client.count("db", "live") == 1
    with refused(15302):
        db.set_alias("nothing", "live")
    with refused(14100):
        db.set_alias("new", "photos")
    with refused(15202):
        collection(client, name="live")
    assert db.delete_alias("live")["affectedCount"] == 1
    assert db.delete_alias("live")["affectedCount"] == 0
    with refused(15302):
        client.count("db", "live")
    db.set_alias("new", "gone")
    client.drop_collection("db", "new")
    collection(client, name="new")
    with refused(15302):
        client.count("db", "gone")
    db.set_alias("photos", "live")
    with refused(15302):
        client.truncate_collection("db", "live")
    assert client.count("db", "photos") == 3


def test_index_is_rebuilt(client):
    photos = filled(client)
    photos.rebuild_index()
    photos.rebuild_index(drop_before_rebuild=True, throttle=1, field_name="vector")
    with refused(14100):
        photos.rebuild_index(field_name="sparse_vector")
    assert photos.count() == 3


def test_filter_index_is_added_over_existing_documents(client):
    from tcvectordb.model.document import Filter
    from tcvectordb.model.enum import FieldType, IndexType
    from tcvectordb.model.index import FilterIndex

    photos = filled(client)
    photos.add_index([FilterIndex("note", FieldType.String, IndexType.FILTER)])
    assert photos.count(filter=Filter('note="undeclared 🐟"')) == 3
    photos.upsert([{"id": "d", "vector": [1.0, 0.0, 0.0], "note": "新"}])
    assert photos.count(filter=Filter('note="新"')) == 1
    with refused(14100):  # a text is no number
        photos.upsert([{"id": "e", "vector": [1.0, 0.0, 0.0], "note": 3}])
    with refused(15000):
        photos.add_index([FilterIndex("note", FieldType.String, IndexType.FILTER)])
    photos.upsert([{"id": "f", "vector": [1.0, 0.0, 0.0], "free": "text"}])
    with refused(14100):
        photos.add_index([FilterIndex("free", FieldType.Uint64, IndexType.FILTER)])
    with refused(14100):
        photos.add_index([FilterIndex("key", FieldType.String, IndexType.PRIMARY_KEY)])


@pytest.mark.parametrize(
    "given", [{"key": "wrong"}, {"account": "riit"}, {"key": KEY + "2"}, {"key": KEY[:-1]}]
)
def test_wrong_key_or_account_is_rejected(emulator, connect, protocol, given):
    stranger = connect(emulator, **given)
    from tcvectordb.exceptions import GrpcException, ServerInternalError

    kind = ServerInternalError if protocol == "http" else GrpcException
    with pytest.raises(kind) as error:
        stranger.create_database("db")
    if protocol == "http":
        assert error.value.code == 401
    else:
        assert "UNAUTHENTICATED" in str(error.value)
    assert connect(emulator).list_databases() == []


def test_eight_threads_lose_no_writes(client):
    photos = collection(client, dim=4, metric="IP")
    start = threading.Barrier(8)

    def work(thread: int) -> list[str]:
        start.wait()
        vector = (np.eye(4)[thread % 4] * (thread + 1)).tolist()
        for batch in range(5):
            photos.upsert(
                [
                    {"id": f"{thread}-{batch}-{i}", "vector": vector, "year": thread}
                    for i in range(20)
                ]
            )
            hits = photos.search([vector], limit=100, filter=f"year = {thread}")[0]
            assert len(hits) >= 20 * (batch + 1)
        photos.delete(filter=f"year = {thread}", limit=10)
        return ids(photos.query(filter=f"year = {thread}", limit=1000))

    with ThreadPoolExecutor(8) as pool:
        left = [id_ for thread_ids in pool.map(work, range(8)) for id_ in thread_ids]
    assert len(set(left)) == 8 * 90
    assert photos.count() == 8 * 90


@pytest.mark.parametrize(
    "given", [{"key": ""}, {"key": "schlüssel"}, {"key": "k", "account": "a\n"}]
)
def test_key_that_no_header_can_hold_is_rejected(given):
    with pytest.raises(ConfigError, match="printable ASCII"):
        Emulator(**given)


def test_taken_port_raises():
    with Emulator(key="k") as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(ConfigError, match="cannot listen"):
            Emulator(key="k", port=port)
        with pytest.raises(ConfigError, match="no gRPC"):
            first.rpc_url  # noqa: B018 — reading it is the point


def test_readmes_example_runs():
    pytest.importorskip("tcvectordb", reason="the SDK is not installed (pip install tcvectordb)")
    readme = Path(imgsearch.testing.tencent.__file__).with_name("README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    exec(example, {})  # noqa: S102 — our own text
