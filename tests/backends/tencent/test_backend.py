"""Collections in Tencent VectorDB in particular, on the emulator."""

import json
import math
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tcvectordb", reason="pip install '.[tencent]'")

from tcvectordb.model.enum import FieldType

from imgsearch.backends import Index, Schema, connect, versions
from imgsearch.backends.tencent.backend import Backend
from imgsearch.backends.tencent.collection import BYTES, _parts
from imgsearch.backends.tencent.schema import Layout, parsed
from imgsearch.errors import (
    BackendError,
    CollectionNotFound,
    ConfigError,
    IndexRefused,
    SchemaMismatch,
)
from imgsearch.filters import Field
from imgsearch.library.copy import copy
from imgsearch.testing.contract.bench import ids, records, unit, vector
from imgsearch.testing.tencent import Emulator
from imgsearch.types import Fingerprint, Record
from tests.backends.cloud import TOKEN, indexes, sdk

# -- contents of a collection ----------------------------------------------------------------------


def test_reading_creates_nothing(cloud: Backend, emulator: Emulator) -> None:
    assert cloud.names() == []
    with pytest.raises(CollectionNotFound, match="'a'"):
        cloud.open("a")
    with pytest.raises(CollectionNotFound, match="'a'"):
        cloud.drop("a")
    bare = sdk(emulator)
    assert bare.list_databases() == []
    cloud.create("a", Schema(4))
    assert [one.database_name for one in bare.list_databases()] == ["pictures"]
    bare.close()


def test_nothing_is_dropped_implicitly(address: str, emulator: Emulator) -> None:
    with connect(address, token=TOKEN) as store:
        store.create("a", Schema(4)).upsert(records("abc"))
        with pytest.raises(SchemaMismatch):
            store.create("a", Schema(5))
        store.create("a", Schema(4)).flush()
        with pytest.raises(IndexRefused):
            store.create("b", Schema(4, index=Index("hnsw", {"M": 10_000})))
        assert store.names() == ["a"]
        assert store.open("a").count() == 3
    assert not emulator.calls.keys() & {
        "/database/drop",
        "/collection/drop",
        "/collection/truncate",
    }


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize(
    ("index", "built"),
    [
        ("flat", ("FLAT", {})),
        ("hnsw:M=8", ("HNSW", {"M": 8, "efConstruction": 200})),
        ("ivf_flat:nlist=7", ("IVF_FLAT", {"nlist": 7})),
        ("ivf_sq8", ("IVF_SQ8", {"nlist": 128})),
        ("ivf_pq:M=2", ("IVF_PQ", {"nlist": 128, "M": 2})),
    ],
)
def test_created_collection_matches_the_schema(
    address: str, emulator: Emulator, index: str, built: tuple[str, dict[str, int]], metric: Any
) -> None:
    fields: Any = {"t": "str", "n": "int", "x": "float", "yes": "bool"}
    encoder = Fingerprint("紅", 4, "ab" * 32)
    schema = Schema(4, metric, Index.parse(index), fields, encoder, note="notes")
    with connect(f"{address}?shards=3&replicas=2", token=TOKEN) as store:
        images = store.create("a", schema)
        assert images.schema == schema
    bare = sdk(emulator)
    description = vars(bare.describe_collection("pictures", "a"))
    bare.close()
    assert (description["shardNum"], description["replicaNum"]) == (3, 2)
    assert (
        json.loads(description["description"].removeprefix("imgsearch "))["encoder"]["model"]
        == "紅"
    )
    indexes = {one["fieldName"]: one for one in description["indexes"]}
    kind, params = built
    assert indexes["vector"]["indexType"] == kind
    assert indexes["vector"].get("params", {}) == params
    assert indexes["vector"]["metricType"] == metric.upper()
    assert indexes["id"]["indexType"] == "primaryKey"
    assert {name: one["fieldType"] for name, one in indexes.items() if name in fields} == {
        "t": "string",
        "n": "int64",
        "x": "double",
        "yes": "uint64",
    }


@pytest.mark.parametrize(
    ("name", "schema", "error"),
    [
        ("_a", Schema(4), ConfigError),
        ("a", Schema(4_097), ConfigError),
        ("a", Schema(9, index=Index("ivf_pq")), IndexRefused),
        ("a", Schema(8, index=Index("diskann")), IndexRefused),
        ("a", Schema(4, index=Index("hnsw", {"M": 65})), IndexRefused),
    ],
)
def test_unsupported_collections_are_rejected(
    cloud: Backend, name: str, schema: Schema, error: type[Exception]
) -> None:
    with pytest.raises(error):
        cloud.create(name, schema)
    assert cloud.names() == []


def test_name_used_in_another_database_raises(cloud: Backend, emulator: Emulator) -> None:
    emulator.faults.refuse(15202, "Collection already exist", path="/collection/create")
    with pytest.raises(ConfigError, match="all databases"):
        cloud.create("a", Schema(4))
    assert cloud.create("a", Schema(4)).count() == 0


def test_concurrent_create_opens_the_same_collection(address: str, emulator: Emulator) -> None:
    with ThreadPoolExecutor(4) as pool, ExitStack() as opened:
        stores = [
            opened.enter_context(connect(f"{address}?shards={n}", token=TOKEN)) for n in range(1, 5)
        ]
        collections = pool.map(lambda store: store.create("a", Schema(4)), stores)
        assert [collection.name for collection in collections] == ["a"] * 4
    assert emulator.calls["/collection/create"] >= 1


def test_truncated_description_raises(cloud: Backend, emulator: Emulator) -> None:
    bare = sdk(emulator)
    bare.create_database("pictures")
    text = "imgsearch " + Schema(4).to_json()[:40]
    bare.create_collection("pictures", "a", 1, 0, text, indexes())
    bare.close()
    with pytest.raises(SchemaMismatch, match="description"):
        cloud.open("a")


def test_foreign_collection_opens(cloud: Backend, emulator: Emulator) -> None:
    bare = sdk(emulator)
    bare.create_database("pictures")
    fields = {"path": FieldType.String, "页": FieldType.Uint64, "tags": FieldType.Array}
    bare.create_collection("pictures", "seed", 3, 0, index=indexes(**fields))
    documents = [
        {"id": f"{i}", "vector": [1.0, i, 0.0, 0.0], "path": f"{i}.jpg", "页": i, "tags": ["a"]}
        for i in range(50)
    ]
    bare.upsert("pictures", "seed", documents)
    collection = cloud.open("seed")
    assert collection.schema == Schema(4, fields={"path": "str"})
    (hits,) = collection.search(unit(0)[None], k=1, where=Field("path") == "0.jpg")
    assert hits[0].fields == {"path": "0.jpg", "页": 0, "tags": '["a"]'}
    assert sorted(int(one.id) for one in collection.iterate(batch=7)) == list(range(50))
    collection.upsert([Record("new", unit(1), {"path": "金.jpg", "n": 2})], foreign=True)
    (row,) = bare.query("pictures", "seed", ["new"], limit=1)
    bare.close()
    assert row == {"id": "new", "path": "金.jpg", "n": 2}  # without fields of imgsearch
    assert collection.delete(["new", "7"], foreign=True) == 2
    assert collection.count() == 49


@pytest.mark.parametrize(
    "index",
    [
        {"fieldType": "binary_vector", "indexType": "BIN_FLAT", "metricType": "Hamming"},
        {"fieldType": "vector", "indexType": "DISK_FLAT", "metricType": "COSINE"},
        {"fieldType": "sparseVector", "indexType": "inverted", "metricType": "IP"},
    ],
)
def test_collection_with_an_unsupported_index_is_rejected(index: dict[str, str]) -> None:
    with pytest.raises(SchemaMismatch, match="'seed'"):
        parsed("seed", "a text", [{"fieldName": "vector", "dimension": 8, **index}])
    with pytest.raises(SchemaMismatch, match="'seed'"):
        parsed("seed", None, [])


# -- numbers and sizes ---------------------------------------------------------------------


def test_calls_stay_within_the_documented_limits(cloud: Backend, emulator: Emulator) -> None:
    collection = cloud.create("a", Schema(4, fields={"n": "int"}))
    names = [f"{i}" for i in range(2_001)]
    collection.upsert(records(names))
    assert emulator.calls["/document/upsert"] == 3  # of 1,000 documents
    assert len(collection.get(names[:41])) == 41
    assert emulator.calls["/document/query"] == 3  # of 20 ids
    assert len(collection.search(np.eye(4, dtype=np.float32)[[0] * 41])) == 41
    assert emulator.calls["/document/search"] == 3  # of 20 vectors


def test_requests_stay_below_the_documented_size(address: str) -> None:
    dim, rng = 2_048, np.random.default_rng(3)
    rows = rng.normal(size=(600, dim)).astype(np.float32)
    with connect(address, token=TOKEN) as store:
        assert isinstance(store, Backend)
        layout = Layout(Schema(dim))
        given = [Record(f"{i}", row, {"t": "字" * 1_000}) for i, row in enumerate(rows)]
        documents = [layout.document(record) for record in given]
        parts = list(_parts(documents, given, number=store.number))
    assert [one["id"] for part in parts for one in part] == [f"{i}" for i in range(600)]
    if address.startswith("tencent:"):
        sizes = [len(json.dumps(part).encode()) for part in parts]
        assert max(sizes) < 1.5 * BYTES  # texts may be escaped
        assert len(parts) > 2


def test_ids_longer_than_the_service_accepts_work(cloud: Backend, emulator: Emulator) -> None:
    long, longer, forged = "é" * 64, "é" * 64 + "x", "sha256:" + "0" * 64
    collection = cloud.create("a", Schema(4))
    collection.upsert([Record(name, unit(i)) for i, name in enumerate((long, longer, forged))])
    assert collection.get([long, longer, forged]).keys() == {long, longer, forged}
    assert sorted(ids(collection.iterate())) == sorted([long, longer, forged])
    bare = sdk(emulator)
    keys = [row["id"] for row in bare.query("pictures", "a", limit=9)]
    bare.close()
    assert long in keys  # 128 bytes
    assert max(len(key.encode()) for key in keys) <= 128
    assert collection.delete([longer]) == 1
    assert sorted(ids(collection.iterate())) == sorted([long, forged])


def test_iterating_skips_nothing_during_deletions(cloud: Backend) -> None:
    collection = cloud.create("a", Schema(4, fields={"n": "int"}))
    names = [f"{i}" for i in range(1_000)]
    collection.upsert(records(names))
    seen: list[str] = []
    for record in collection.iterate(batch=50, vectors=False):
        if not seen:
            collection.delete(names[:500])
        seen.append(record.id)
    assert len(seen) == len(set(seen))
    assert set(names[500:]) <= set(seen)


def test_flush_trains_an_ivf_index_with_enough_rows(cloud: Backend, emulator: Emulator) -> None:
    collection = cloud.create("a", Schema(4, index=Index("ivf_flat", {"nlist": 2})))
    collection.upsert(records([f"{i}" for i in range(59)]))
    collection.flush()
    assert "/index/rebuild" not in emulator.calls  # the index needs 30 rows a cell
    collection.upsert(records(["59"]))
    emulator.faults.building = 3
    collection.flush()
    assert emulator.calls["/index/rebuild"] == 1
    assert collection.indexed() == 60
    assert len(collection.search(unit(0)[None], k=60)[0]) == 60


@pytest.mark.parametrize(
    ("index", "k", "effort", "expected"),
    [
        ("flat", 10, 5, {}),
        ("hnsw", 10, None, {"ef": 256}),
        ("hnsw", 100, None, {"ef": 256}),
        ("hnsw", 100, 7, {"ef": 100}),
        ("hnsw", 16_384, 99_999, {"ef": 32_768}),
        ("ivf_flat", 10, None, {"nprobe": 32}),
        ("ivf_sq8:nlist=8", 10, 99, {"nprobe": 8}),
        ("ivf_pq:nlist=1000", 10, None, {"nprobe": 250}),
        ("hnsw_sq", 10, 300, {"ef": 300}),
        ("ivf_rabitq:nlist=64", 10, 32, {"nprobe": 32}),
        ("diskann", 300, None, {"search_list": 600}),
        ("diskann", 10, 99_999, {"search_list": 65_535}),
        ("gpu_cagra", 10, 40, {"itopk_size": 64}),
    ],
)
def test_search_breadth(index: str, k: int, effort: int | None, expected: dict[str, int]) -> None:
    assert Index.parse(index).search_params(k, effort) == expected


# -- consistency ----------------------------------------------------------------------------------


def test_writes_are_visible_at_once_except_with_eventual_reads(
    address: str, emulator: Emulator
) -> None:
    emulator.faults.lag = math.inf
    with (
        connect(address, token=TOKEN) as strong,
        connect(f"{address}?consistency=eventual", token=TOKEN) as eventual,
    ):
        written = strong.create("a", Schema(4, fields={"n": "int"}))
        written.upsert(records("abc"))
        late = eventual.open("a")
        for collection, count in ((written, 3), (late, 0)):
            assert collection.count() == count
            assert len(list(collection.iterate())) == count
            assert len(collection.get(["a", "b", "c"])) == count
            assert len(collection.search(unit(0)[None])[0]) == count
        emulator.settle()
        assert late.count() == 3


# -- unsupported cases ------------------------------------------------------------------------


def test_frozen_flat_index_error_states_the_remedy(cloud: Backend, emulator: Emulator) -> None:
    emulator.faults.flat_frozen = True
    collection = cloud.create("a", Schema(4, index=Index("flat")))
    collection.upsert(records("abc"))
    with pytest.raises(BackendError, match="hnsw"):
        collection.delete(["a"])
    assert collection.count() == 3
    other = cloud.create("b", Schema(4))
    other.upsert(records("abc"))
    assert other.delete(["a"]) == 1


def test_scores_over_grpc_have_five_decimals(emulator: Emulator) -> None:
    row = vector(1, 2, 3, 4)
    exact = 10 / math.sqrt(4 * 30)  # (1, 1, 1, 1) · (1, 2, 3, 4) divided by their lengths
    scores = {}
    for scheme, url in (("tencent", emulator.url), ("tencent+grpc", emulator.rpc_url)):
        with connect(f"{url.replace('http', scheme, 1)}/db", token=TOKEN) as store:
            collection = store.create("a", Schema(4))
            collection.upsert([Record("a", row)])
            (hits,) = collection.search(np.ones((1, 4), dtype=np.float32))
            scores[scheme] = hits[0].score
    assert scores["tencent+grpc"] == round(exact, 5)
    assert scores["tencent"] == pytest.approx(exact, abs=1e-7)  # float32


def test_unexpected_response_raises_backend_error(address: str, emulator: Emulator) -> None:
    with connect(address, token=TOKEN) as store:
        collection = store.create("a", Schema(4))
        emulator.faults.refuse(11100, "Datatype privilege failure", path="/document/count")
        with pytest.raises(BackendError, match="IMGSEARCH_TENCENT_KEY"):
            collection.count()
        assert isinstance(store, Backend)
        for error in (KeyError("collections"), AttributeError("count"), TypeError("no list")):

            def fail(client: object, seconds: float, error: Exception = error) -> None:
                raise error

            with pytest.raises(BackendError, match="does not understand"):
                store.calls(fail)


def test_aliases_of_the_service_move_at_once(cloud: Backend, emulator: Emulator) -> None:
    for name in ("a", "b"):
        cloud.create(name, Schema(4)).upsert(records(name))
    cloud.set_alias("now", "a")
    cloud.set_alias("now", "b")
    assert ids(cloud.open("now").iterate()) == ["b"]
    bare = sdk(emulator)
    assert [row["id"] for row in bare.query("pictures", "now", limit=9)] == ["b"]
    bare.close()
    assert cloud.names() == ["a", "b"]
    cloud.drop_alias("now")
    with pytest.raises(CollectionNotFound):
        cloud.open("now")


def test_collection_replaced_by_another_program_is_rejected(cloud: Backend, address: str) -> None:
    collection = cloud.create("a", Schema(4, fields={"n": "int"}))
    collection.upsert(records("ab"))
    other = Backend(address, token=TOKEN, timeout=2)  # shares no cache with the first
    other.drop("a")
    with pytest.raises(CollectionNotFound, match="another program dropped it"):
        collection.upsert(records("c"))
    other.create("a", Schema(4, "l2", fields={"n": "int"})).upsert(records("x"))
    for use in (
        lambda: collection.upsert(records("c")),
        lambda: collection.search(unit(0)[None]),
        lambda: collection.delete(["x"]),
    ):
        with pytest.raises(SchemaMismatch, match="metric: cosine before, l2 now.*Open it again"):
            use()
    other.drop("a")
    other.create("a", Schema(4, fields={"n": "int"}))
    collection.upsert(records("c"))
    assert ids(collection.search(unit(0)[None])[0]) == ["c"]
    other._close()


def test_search_waits_for_a_rebuild_by_another_program(cloud: Backend, emulator: Emulator) -> None:
    collection = cloud.create("a", Schema(4, fields={"n": "int"}))
    collection.upsert(records("ab"))
    emulator.faults.building = 3
    bare = sdk(emulator)
    bare.rebuild_index("pictures", "a")
    bare.close()
    assert ids(collection.search(unit(0)[None])[0]) == ["a", "b"]


def test_bulk_writes_are_indexed_at_the_end(
    cloud: Backend, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = cloud.create("bulk", Schema(4))
    images.upsert(records("a"))
    assert images.indexed() == 1
    with images.bulk_writes():
        images.upsert(records("bcd"))
        assert (images.count(), images.indexed()) == (4, 1)
    assert images.indexed() == 4

    with monkeypatch.context() as patch:  # killed before the rebuild
        patch.setattr(cloud, "rebuild", lambda _name: None)
        with images.bulk_writes():
            images.upsert(records("ef"))
    assert images.indexed() == 4
    with images.bulk_writes():
        pass
    assert images.indexed() == 6


def test_copy_with_writers_fills_and_indexes(cloud: Backend, emulator: Emulator) -> None:
    emulator.faults.building = 3
    with connect(f"memory://{uuid.uuid4().hex}") as source:
        rows = [Record(f"猫-{n}", unit(n % 4), {"path": f"{n}.jpg"}) for n in range(2_100)]
        source.create("images", Schema(4, fields={"path": "str"})).upsert(rows)
        done = copy(source, cloud, "images", alias="photos", writers=4)
        assert (done.copied, done.skipped) == (2_100, 0)
        photos = versions.open_named(cloud, "photos")
        assert photos.count() == photos.indexed() == 2_100
        assert copy(source, cloud, "images", alias="photos", writers=4).skipped == 2_100
