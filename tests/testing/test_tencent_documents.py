"""Document calls of the real SDK over HTTP and gRPC."""

import math

import numpy as np
import pytest

from tests.testing.calls import VECTORS, collection, filled, ids, refused

NASTY = [
    "", " ", '"', '\\"', "\\", "a\\b", "'", "a'b\"c", "\n", "\r\n\t", "%_*", "猫", "金魚 鉢",
    "é", "e\u0301", "🐟", "👨\u200d👩\u200d👧", '" or year > 0 or path = "', "\x00x", "\u202e",
    "x" * 2000, "and", ")", "null",
]  # fmt: skip


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_scores_match_values_worked_by_hand(client, protocol):
    # a = (1, 2, 2) and b = (2, 0, 1): a·b = 4, |a| = 3, |b|² = 5, |a - b|² = 1 + 4 + 1 = 6;
    # c = -a: a·c = -9, |a - c|² = 4 |a|² = 36
    expected = {
        "COSINE": [("a", 1.0), ("b", 4 / (3 * math.sqrt(5))), ("c", -1.0)],
        "IP": [("a", 9.0), ("b", 4.0), ("c", -9.0)],
        "L2": [("a", 0.0), ("b", 6.0), ("c", 36.0)],
    }
    for metric, hits in expected.items():
        photos = filled(client, name=metric.lower(), metric=metric)
        nearest = photos.search([VECTORS["a"]], limit=3)[0]
        assert ids(nearest) == [id_ for id_, _ in hits]
        scores = [float(np.float32(score)) for _, score in hits]
        if protocol == "grpc":
            scores = [round(score, 5) for score in scores]  # rounded by the SDK
        assert [hit["score"] for hit in nearest] == scores
        raw = photos.search([VECTORS["a"]], limit=3)
        assert raw[0] == nearest


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_scores_are_exact_to_the_last_bit_of_a_float32(client, protocol, metric):
    photos = collection(client, dim=5, metric=metric)
    rows = np.random.default_rng(7).normal(size=(30, 5)).astype(np.float32).astype(float).tolist()
    photos.upsert([{"id": str(i), "vector": row, "year": i % 3} for i, row in enumerate(rows)])
    query, expected = rows[4], {}
    for i, row in enumerate(rows):  # the oracle: Python's exactly rounded sums, without numpy
        dot = math.fsum(a * b for a, b in zip(query, row, strict=True))
        expected[str(i)] = {
            "IP": dot,
            "COSINE": dot / math.hypot(*query) / math.hypot(*row),
            "L2": math.fsum((a - b) ** 2 for a, b in zip(query, row, strict=True)),
        }[metric]
    for where, step in ((None, 1), ("year = 1", 3)):
        hits = photos.search([query], filter=where, limit=30)[0]
        nearest = sorted(
            list(expected)[step == 3 :: step], key=expected.get, reverse=metric != "L2"
        )
        assert ids(hits) == nearest
        tolerance = 6e-6 if protocol == "grpc" else 0  # the SDK rounds to 5 decimals
        for hit in hits:
            assert hit["score"] == pytest.approx(expected[hit["id"]], rel=1.2e-7, abs=tolerance)


def test_search_takes_vectors_or_ids_filter_fields_and_limit(client):
    photos = filled(client)
    assert [
        ids(hits) for hits in photos.search(np.array([VECTORS["a"], VECTORS["c"]]), limit=2)
    ] == [
        ["a", "b"],
        ["c", "b"],
    ]
    assert [ids(hits) for hits in photos.searchById(["c", "a"], limit=1)] == [["c"], ["a"]]
    assert ids(photos.search([VECTORS["a"]], filter="year > 2001")[0]) == ["b", "c"]
    assert photos.search([VECTORS["a"]], filter="year > 2999") == [[]]
    hit = photos.search([VECTORS["b"]], limit=1, retrieve_vector=True, output_fields=["year"])[0][0]
    assert hit == {"id": "b", "score": 1.0, "vector": VECTORS["b"], "year": 2002}
    whole = photos.search([VECTORS["b"]], limit=1)[0][0]
    assert whole["note"] == "undeclared 🐟"
    assert (whole["path"], whole["shift"], whole["size"]) == ("写真/b.png", -1, 0.5)
    assert whole["tags"] == ["all", "b"]
    assert "vector" not in whole


def test_radius_keeps_near_vectors(client):
    near = filled(client, name="near", metric="IP")
    far = filled(client, name="far", metric="L2")
    assert ids(near.search([VECTORS["a"]], radius=4)[0]) == ["a", "b"]
    assert ids(far.search([VECTORS["a"]], radius=6)[0]) == ["a", "b"]
    assert ids(near.search([VECTORS["a"]], radius=0)[0]) == ["a", "b"]
    assert ids(near.search([VECTORS["a"]], radius=4.5)[0]) == ["a"]
    assert ids(near.search([VECTORS["a"]], radius=-9)[0]) == ["a", "b", "c"]


def test_search_rejects_values_out_of_range(client):
    photos = filled(client)
    ivf = filled(client, name="ivf", kind="IVF_FLAT", params={"nlist": 8})
    one = VECTORS["a"]
    photos.search([one] * 20, params=_params(ef=32_768))
    ivf.search([one], params=_params(nprobe=8))
    for call in (
        lambda: photos.search([one] * 21),
        lambda: photos.search([one[:2]]),
        lambda: photos.search([one], limit=16_385),
        lambda: photos.search([one], params=_params(ef=32_769)),
        lambda: ivf.search([one], params=_params(nprobe=9)),
        lambda: photos.searchById(["nobody"]),
        lambda: photos.searchById([f"{i}" for i in range(21)]),
        lambda: photos.search([one], filter="note = 1"),
    ):
        with refused(14100):
            call()
    with refused(15000):
        photos.search([one], filter="year >")
    with refused(15000):
        photos.search([one], aggregate={"groupBy": "path"})


def _params(**values):
    from tcvectordb.model.document import SearchParams

    return SearchParams(**values)


def test_upsert_replaces_whole_documents(client):
    photos = filled(client)
    answer = photos.upsert(
        [{"id": "a", "vector": [9.0, 9.0, 9.0]}, {"id": "a", "vector": [0.0, 0.0, 1.0], "year": 7}]
    )
    assert answer["affectedCount"] == 2
    assert photos.count() == 3
    (document,) = photos.query(["a"], retrieve_vector=True)
    document.pop("score", None)  # the SDK's gRPC client adds one
    assert document == {"id": "a", "vector": [0.0, 0.0, 1.0], "year": 7}


def test_invalid_upsert_writes_nothing(client):
    photos = collection(client)
    good = {"id": "good", "vector": [1.0, 0.0, 0.0]}
    for bad in (
        {"id": "", "vector": [1.0, 0.0, 0.0]},
        {"id": "x"},
        {"id": "x", "vector": [1.0]},
        {"id": "x", "vector": [1.0, 0.0, 0.0], "year": "2001"},
        {"id": "x", "vector": [1.0, 0.0, 0.0], "year": -1},
        {"id": "x", "vector": [1.0, 0.0, 0.0], "path": 1},
        {"id": "x", "vector": [1.0, 0.0, 0.0], "tags": "all"},
    ):
        with refused(14100):
            photos.upsert([good, bad])
    with refused(14100):
        photos.upsert([{"id": str(i), "vector": [1.0, 0.0, 0.0]} for i in range(1001)])
    with refused(14100):
        photos.upsert([])
    assert photos.count() == 0
    photos.upsert([{"id": str(i), "vector": [1.0, 0.0, 0.0]} for i in range(1000)])
    assert photos.count() == 1000


def test_vectors_are_stored_as_float32(client):
    photos = collection(client)
    photos.upsert([{"id": "a", "vector": [0.1, 1 / 3, 1e-30]}])
    (document,) = photos.query(["a"], retrieve_vector=True)
    assert document["vector"] == [float(value) for value in np.float32([0.1, 1 / 3, 1e-30])]


def test_numbers_keep_their_range(client):
    photos = collection(client)
    photos.upsert([{"id": "a", "vector": [1.0, 0.0, 0.0], "year": 2**64 - 1, "shift": -(2**63)}])
    photos.upsert([{"id": "b", "vector": [1.0, 0.0, 0.0], "year": 2**53 + 1, "size": 3}])
    (document,) = photos.query(["a"])
    assert (document["year"], document["shift"]) == (2**64 - 1, -(2**63))
    assert ids(photos.query(filter=f"year = {2**53 + 1}")) == ["b"]
    assert ids(photos.query(filter=f"year > {2**53 + 1}")) == ["a"]
    assert photos.query(["b"])[0]["size"] == 3.0


def test_query_pages_sorts_and_counts(client, emulator):
    photos = filled(client)
    assert ids(photos.query(["c", "nobody", "a"])) == ["c", "a"]
    assert ids(photos.query(limit=2)) == ["a", "b"]
    assert ids(photos.query(limit=2, offset=2)) == ["c"]
    assert photos.query(limit=2, offset=3) == []
    assert ids(photos.query(limit=3, sort={"fieldName": "year", "direction": "desc"})) == [
        "c",
        "b",
        "a",
    ]
    photos.upsert([{"id": "d", "vector": [1.0, 0.0, 0.0], "year": 2001, "size": 9.5}])
    rules = [{"fieldName": "year"}, {"fieldName": "size", "direction": "desc"}]
    assert ids(photos.query(sort=rules)) == ["d", "a", "b", "c"]
    assert ids(photos.query(["a", "b"], filter="year > 2001")) == ["b"]
    assert photos.count(filter="year <= 2002") == 3
    document = photos.query(["a"], output_fields=["year"])[0]
    document.pop("score", None)
    assert document == {"id": "a", "year": 2001}
    photos.upsert([{"id": f"n{i:02}", "vector": [1.0, 0.0, 0.0]} for i in range(20)])
    assert len(photos.query()) == 10
    assert len(photos.query([f"n{i:02}" for i in range(20)])) == 20


def test_query_rejects_values_out_of_range(client):
    photos = filled(client)
    for call in (
        lambda: photos.query(limit=16_385),
        lambda: photos.query(offset=-1),
        lambda: photos.query([f"{i}" for i in range(21)]),
        lambda: photos.query(sort={"fieldName": "note"}),
        lambda: photos.query(filter='id = "a"'),
    ):
        with refused(14100):
            call()
    with refused(15000):
        photos.query(limit=0) if _is_rpc(client) else photos.query(filter='path = "a')
    with refused(15000):
        photos.count(filter="(year = 1")


def _is_rpc(client) -> bool:
    return type(client).__name__ == "RPCVectorDBClient"


def test_delete_takes_ids_filter_and_limit(client):
    photos = filled(client)
    assert photos.delete(["a", "a", "nobody"])["affectedCount"] == 1
    assert photos.delete(filter="year >= 2002", limit=1)["affectedCount"] == 1
    assert ids(photos.query(limit=9)) == ["c"]
    with refused(15000):
        photos.delete()
    with refused(15000):
        # the SDK sends the same request as without ids: the emulator deletes nothing
        photos.delete([])
    with refused(14100):
        photos.delete([str(i) for i in range(21)])
    with refused(14100):
        photos.delete(filter="year > 0", limit=16_385)
    assert photos.count() == 1


def test_update_sets_fields_and_vectors(client):
    photos = filled(client)
    assert photos.update({"year": 1999}, document_ids=["a", "b"])["affectedCount"] == 2
    assert photos.update({"vector": [0.0, 0.0, 5.0]}, filter="year = 1999")["affectedCount"] == 2
    assert photos.update({"year": 1}, document_ids=["nobody"])["affectedCount"] == 0
    (document,) = photos.query(["b"], retrieve_vector=True)
    assert (document["year"], document["path"], document["vector"]) == (
        1999,
        "写真/b.png",
        [0.0, 0.0, 5.0],
    )
    with refused(14100):
        photos.update({"year": "x"}, document_ids=["a"])
    with refused(14100):
        photos.update({"vector": [1.0]}, document_ids=["a"])
    with refused(15000):
        photos.update({"id": "z"}, document_ids=["a"])


def test_nasty_texts_round_trip_and_match_filters(client):
    photos = collection(client)
    documents = [
        {"id": f"{i}{text}", "vector": [1.0, float(i), 0.0], "path": text, "note": text,
         "tags": [text]}
        for i, text in enumerate(NASTY)
    ]  # fmt: skip
    photos.upsert(documents)
    for document in documents:
        hits = photos.query(filter=f"path = {quoted(document['path'])}")
        assert [(hit["id"], hit["note"]) for hit in hits] == [(document["id"], document["path"])]
        assert ids(photos.query(filter=f"tags include ({quoted(document['path'])})")) == ids(hits)
        assert ids(photos.query([document["id"]])) == ids(hits)
    listed = ", ".join(map(quoted, NASTY))
    assert photos.count(filter=f"path in ({listed})") == len(NASTY)
    assert photos.count(filter=f"path not in ({listed})") == 0
