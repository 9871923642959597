"""The contract of a vector store: what every one of them does, and none may do."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from imgsearch.backends import FieldNames, Index, Schema, notes
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    DimensionMismatch,
    EncoderMismatch,
    FieldInvalid,
    SchemaMismatch,
    VectorInvalid,
)
from imgsearch.filters import Field
from imgsearch.types import Fingerprint, Record
from tests.backends.bench import FOREIGN, NASTY, Bench, ids, nasty_records, records, unit, vector

ENCODER = Fingerprint("紅-encoder", 4, weights="ab" * 32, preprocessing="resize 224", options="")
NAN, INFINITY = float("nan"), float("inf")


# -- collections -------------------------------------------------------------------------------


def test_creating_twice_with_the_same_schema_opens(bench: Bench) -> None:
    collection = bench.collection(encoder=ENCODER)
    collection.upsert(records(["a"]))
    again = bench.store.create(collection.name, collection.schema)
    assert again.schema == collection.schema
    assert again.count() == 1
    assert bench.store.encoder(collection.name) == ENCODER


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"dim": 5}, "dimension"),
        ({"metric": "l2"}, "metric"),
        ({"index": Index("ivf_flat", {"nlist": 7})}, "index"),
        ({"fields": {"n": "int", "text": "str"}}, "fields"),
        ({"fields": {"n": "float"}}, "fields"),
        ({"encoder": Fingerprint("another", 4)}, "another"),
    ],
)
def test_creating_with_another_schema_names_the_difference(
    bench: Bench, other: dict[str, Any], named: str
) -> None:
    collection = bench.collection(encoder=ENCODER)
    asked = {
        "dim": 4,
        "metric": "cosine",
        "index": Index("flat"),
        "fields": {"n": "int"},
        "encoder": ENCODER,
    } | other
    with pytest.raises(SchemaMismatch, match=named):
        bench.store.create(collection.name, Schema(**asked))
    assert bench.store.open(collection.name).schema == collection.schema


@pytest.mark.parametrize("name", ["", "no spaces", "a-b", "1st", "图", "x" * 65])
def test_name_that_some_store_refuses_is_refused_by_all(bench: Bench, name: str) -> None:
    with pytest.raises(ConfigError):
        bench.store.create(name, Schema(4))


def test_opening_a_missing_collection_says_so(bench: Bench) -> None:
    with pytest.raises(CollectionNotFound, match="nowhere"):
        bench.store.open("nowhere")
    with pytest.raises(CollectionNotFound, match="nowhere"):
        bench.store.drop("nowhere")


def test_names_are_those_that_were_made_and_not_dropped(bench: Bench) -> None:
    first, second = sorted(bench.collection().name for _ in range(2))
    listed = bench.store.names()
    assert [name for name in listed if name in (first, second)] == [first, second]
    bench.store.drop(first)
    assert first not in bench.store.names()
    assert second in bench.store.names()


def test_dropping_takes_everything_with_it(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records(["a", "b"]))
    bench.store.drop(collection.name)
    with pytest.raises(CollectionNotFound, match=f"{collection.name}.*Add the images again"):
        collection.count()
    assert bench.store.create(collection.name, collection.schema).count() == 0


def test_open_collection_goes_on_after_it_was_created_again(bench: Bench) -> None:
    collection = bench.collection(encoder=ENCODER)
    collection.upsert(records(["a", "b"]))
    assert collection.count() == 2
    bench.store.drop(collection.name)
    bench.store.create(collection.name, collection.schema)
    assert collection.count() == 0
    collection.upsert(records(["c"]))
    assert ids(collection.search(unit(0)[None])[0]) == ["c"]
    assert ids(collection.iterate()) == ["c"]
    assert collection.delete(["a", "c"]) == 1


def test_open_collection_refuses_another_one_of_its_name(bench: Bench) -> None:
    collection = bench.collection(encoder=ENCODER)
    collection.upsert(records(["a"]))
    assert collection.count() == 1
    schema = Schema(4, index=Index("flat"), fields={"n": "int"}, encoder=Fingerprint("other", 4))
    bench.store.drop(collection.name)
    other = bench.store.create(collection.name, schema)
    other.upsert(records(["b"]))
    for use in (
        lambda: collection.search(unit(0)[None]),
        lambda: collection.get(["b"]),
        collection.count,
        lambda: list(collection.iterate()),
        lambda: collection.upsert(records(["c"])),
        lambda: collection.delete(["b"]),
    ):
        with pytest.raises(SchemaMismatch, match="encoder"):
            use()
    assert ids(other.iterate()) == ["b"]


def test_alias_stands_for_one_collection_then_for_another(bench: Bench) -> None:
    old, new = bench.collection(), bench.collection()
    old.upsert(records(["old"]))
    new.upsert(records(["new 1", "new 2"]))
    alias = bench.new_alias()
    bench.store.set_alias(alias, old.name)
    before = bench.store.open(alias)
    assert (before.name, before.count()) == (old.name, 1)
    bench.store.set_alias(alias, new.name)
    after = bench.store.open(alias)
    assert (after.name, sorted(ids(after.search(unit(0)[None])[0]))) == (
        new.name,
        ["new 1", "new 2"],
    )
    assert bench.store.create(alias, new.schema).count() == 2
    assert sorted(ids(before.iterate())) == ["old"]  # what was opened stays what it was
    assert alias not in bench.store.names()
    bench.store.drop(old.name)
    bench.store.set_alias(alias, alias)  # already so
    bench.reopen()
    assert bench.store.open(alias).count() == 2
    bench.store.drop_alias(alias)
    with pytest.raises(CollectionNotFound, match=alias):
        bench.store.open(alias)
    assert bench.store.open(new.name).count() == 2


def test_alias_is_no_collection_and_goes_with_its_own(bench: Bench) -> None:
    collection, other = bench.collection(), bench.collection()
    alias = bench.new_alias()
    with pytest.raises(CollectionNotFound, match="nowhere"):
        bench.store.set_alias(alias, "nowhere")
    with pytest.raises(CollectionNotFound, match=alias):
        bench.store.drop_alias(alias)
    with pytest.raises(ConfigError, match=other.name):
        bench.store.set_alias(other.name, collection.name)
    with pytest.raises(ConfigError):
        bench.store.set_alias("no name", collection.name)
    bench.store.set_alias(alias, collection.name)
    with pytest.raises(CollectionNotFound, match=alias):
        bench.store.drop(alias)
    assert collection.count() == 0
    bench.store.drop(collection.name)
    with pytest.raises(CollectionNotFound, match=alias):
        bench.store.open(alias)
    bench.store.set_alias(alias, other.name)
    assert bench.store.open(alias).name == other.name


def test_readers_of_an_alias_never_miss_it_while_it_moves(bench: Bench) -> None:
    sides = [bench.collection(), bench.collection()]
    for side in sides:
        side.upsert(records(["one"]))
    alias = bench.new_alias()
    bench.store.set_alias(alias, sides[0].name)
    done = threading.Event()

    def read() -> set[str]:
        seen = set()
        while not done.is_set() or not seen:
            opened = bench.store.open(alias)
            assert opened.count() == 1
            seen.add(opened.name)
        return seen

    with ThreadPoolExecutor(2) as readers:
        running = [readers.submit(read) for _ in range(2)]
        try:
            for turn in range(1, 20):
                bench.store.set_alias(alias, sides[turn % 2].name)
                assert bench.store.open(alias).name == sides[turn % 2].name
        finally:
            done.set()
        assert all(reader.result() <= {side.name for side in sides} for reader in running)


def test_fingerprint_and_schema_are_remembered(bench: Bench) -> None:
    made = bench.collection(
        encoder=ENCODER,
        index="hnsw:M=8,efConstruction=50",
        fields={"n": "int", "text": "str", "x": "float", "yes": "bool"},
    )
    made.upsert([Record("a", unit(0), {"n": 3, "text": "金"})])
    bench.reopen()
    opened = bench.store.open(made.name)
    assert opened.schema == made.schema
    assert opened.schema.encoder == ENCODER
    opened.require(ENCODER)
    with pytest.raises(EncoderMismatch, match="weights"):
        opened.require(Fingerprint("紅-encoder", 4, weights="cd" * 32, preprocessing="resize 224"))
    assert opened.get(["a"])["a"].fields["text"] == "金"
    assert ids(opened.search(unit(0)[None])[0]) == ["a"]


# -- writing -----------------------------------------------------------------------------------


def test_upserted_record_is_found_at_once(bench: Bench) -> None:
    collection = bench.collection()
    for i in range(8):
        collection.upsert([Record(f"r{i}", vector(1, i, 0, 0), {"n": i})])
        (found,) = collection.search(vector(1, i, 0, 0)[None], k=1)
        assert ids(found) == [f"r{i}"]
        assert collection.count() == i + 1


def test_upsert_replaces_vector_and_fields_whole(bench: Bench) -> None:
    collection = bench.collection(fields={"n": "int", "text": "str"})
    collection.upsert([Record("a", unit(0), {"n": 1, "text": "old", "extra": "old", "more": 2})])
    collection.upsert([Record("a", unit(1), {"n": 2, "extra": 1.5})])
    assert collection.count() == 1
    record = collection.get(["a"], vectors=True)["a"]
    assert record.fields == {"n": 2, "text": "", "extra": 1.5}
    assert record.vector is not None
    assert record.vector.tolist() == [0, 1, 0, 0]
    (found,) = collection.search(unit(1)[None], k=5)
    assert [(hit.id, hit.score) for hit in found] == [("a", pytest.approx(1))]
    assert found[0].fields == record.fields


def test_upsert_replaces_after_flush(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert([Record("a", unit(0), {"n": 1, "old": True}), Record("b", unit(2))])
    collection.flush()
    collection.upsert([Record("a", unit(1), {"n": 2})])
    assert collection.count() == 2
    assert collection.get(["a"])["a"].fields == {"n": 2}
    (found,) = collection.search(unit(1)[None], k=5)
    assert [(hit.id, round(hit.score, 5)) for hit in found] == [("a", 1), ("b", 0)]


def test_last_of_duplicates_in_one_call_counts(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(
        [
            Record("a", unit(0), {"n": 1, "first": 1}),
            Record("b", unit(2)),
            Record("a", unit(1), {"n": 2}),
        ]
    )
    assert collection.count() == 2
    assert collection.get(["a"])["a"].fields == {"n": 2}
    assert ids(collection.search(unit(1)[None], k=1)[0]) == ["a"]


def test_upserting_twice_changes_nothing(bench: Bench) -> None:
    collection = bench.collection()
    for _ in range(2):
        collection.upsert(records("abc"))
    assert collection.count() == 3
    assert collection.doubled() == 0
    assert sorted(ids(collection.iterate())) == ["a", "b", "c"]
    assert sorted(ids(collection.search(unit(0)[None], k=10)[0])) == ["a", "b", "c"]


def test_upserting_nothing_is_allowed(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert([])
    assert collection.count() == 0


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Record("bad", None), VectorInvalid),
        (Record("bad", vector(1, 2, 3)), DimensionMismatch),
        (Record("bad", vector(1, 2, 3, 4, 5)), DimensionMismatch),
        (Record("bad", vector(1, NAN, 0, 0)), VectorInvalid),
        (Record("bad", vector(1, INFINITY, 0, 0)), VectorInvalid),
        (Record("bad", vector(0, 0, 0, 0)), VectorInvalid),
        (Record("bad", vector(1e-30, 0, 0, 0)), VectorInvalid),
        (Record("bad", vector(1e30, 0, 0, 0)), VectorInvalid),
        (Record("bad", np.array([1e300, 0, 0, 0])), VectorInvalid),  # type: ignore[arg-type]  # float64
        (Record("", unit(0)), FieldInvalid),
        (Record("é" * 257, unit(0)), FieldInvalid),  # 514 bytes
        (Record("nul\0", unit(0)), FieldInvalid),
        (Record("\ud800", unit(0)), FieldInvalid),
        (Record(7, unit(0)), FieldInvalid),  # type: ignore[arg-type]  # what callers do
        (Record("bad", unit(0), {"n": "one"}), FieldInvalid),
        (Record("bad", unit(0), {"n": 1.0}), FieldInvalid),
        (Record("bad", unit(0), {"n": True}), FieldInvalid),
        (Record("bad", unit(0), {"n": 2**63}), FieldInvalid),
        (Record("bad", unit(0), {"other": 2**63}), FieldInvalid),
        (Record("bad", unit(0), {"other": NAN}), FieldInvalid),
        (Record("bad", unit(0), {"other": None}), FieldInvalid),  # type: ignore[dict-item]
        (Record("bad", unit(0), {"other": [1]}), FieldInvalid),  # type: ignore[dict-item]
        (Record("bad", unit(0), {"text": "nul\0"}), FieldInvalid),
        (Record("bad", unit(0), {"text": "\udcff"}), FieldInvalid),
        (Record("bad", unit(0), {"text": "é" * 32_768}), FieldInvalid),  # 65,536 bytes
        (Record("bad", unit(0), {f"u{i}": "y" * 9_000 for i in range(8)}), FieldInvalid),
        (Record("bad", unit(0), {"no name": 1}), FieldInvalid),
        (Record("bad", unit(0), {"id": "x"}), FieldInvalid),
        (Record("bad", unit(0), {"vector": 1}), FieldInvalid),
        (Record("bad", unit(0), {"$meta": 1}), FieldInvalid),
    ],
)
def test_bad_record_is_refused_and_nothing_written(
    bench: Bench, bad: Record, error: type[Exception]
) -> None:
    collection = bench.empty(fields={"n": "int", "text": "str"})
    with pytest.raises(error):
        collection.upsert([Record("good", unit(0)), bad])
    assert collection.count() == 0
    assert collection.get(["good"]) == {}


def test_longest_values_fit(bench: Bench) -> None:
    collection = bench.collection(fields={"n": "int", "text": "str", "x": "float"})
    fields = {
        "n": 2**63 - 1,
        "text": "é" * 32_767,
        "x": 1.7e308,
        "low": -(2**63 - 1),
        "o": "z" * 60_000,
    }
    collection.upsert([Record("é" * 256, unit(0), fields)])
    assert collection.get(["é" * 256])["é" * 256].fields == fields
    assert collection.count(where=Field("n") == 2**63 - 1) == 1


# -- reading -----------------------------------------------------------------------------------


def test_get_returns_only_what_is_there(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records("abc"))
    found = collection.get(["b", "nobody", "a", "b", "", "x" * 600, "nul\0", "\ud800"])
    assert sorted(found) == ["a", "b"]
    assert found["b"] == Record("b", None, {"n": 1})
    assert collection.get([]) == {}


def test_get_returns_the_vectors_that_were_written(bench: Bench) -> None:
    collection = bench.collection(metric="l2", dim=3)
    written = {"a": vector(0.1, -2.5, 1e-9), "b": vector(3e9, 1 / 3, 0)}
    collection.upsert([Record(name, values) for name, values in written.items()])
    for name, record in collection.get(list(written), vectors=True).items():
        assert record.vector is not None
        assert record.vector.dtype == np.float32
        assert record.vector.tolist() == written[name].tolist()


def test_delete_counts_those_that_were_there(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records("abcd"))
    assert collection.delete(["a", "nobody", "c", "a"]) == 2
    assert collection.count() == 2
    assert collection.get(["a", "b", "c", "d"]).keys() == {"b", "d"}
    assert sorted(ids(collection.search(unit(0)[None], k=10)[0])) == ["b", "d"]
    assert collection.delete(["a"]) == 0
    assert collection.delete([]) == 0
    collection.upsert(records("a"))
    assert collection.count() == 3


def test_iterate_sees_each_record_once_across_chunks(bench: Bench) -> None:
    collection = bench.collection()
    names = [f"{i * 7919 % 3_500:04}'\\\"" for i in range(3_500)]  # 7919 is prime: a permutation
    collection.upsert(records(names))
    assert collection.count() == 3_500
    seen = ids(collection.iterate(vectors=False))
    assert len(seen) == 3_500
    assert sorted(seen) == sorted(names)
    some = list(collection.iterate(where=Field("n") < 1_000, batch=250))
    assert sorted(r.fields["n"] for r in some) == list(range(1_000))
    assert all(r.vector is not None and r.vector[1] == r.fields["n"] for r in some)
    assert len(collection.get(names)) == 3_500
    assert collection.delete(names[:3_000]) == 3_000
    assert collection.count() == 500


@pytest.mark.parametrize("batch", [0, 16_385])
def test_impossible_batch_is_refused(bench: Bench, batch: int) -> None:
    with pytest.raises(ConfigError):
        bench.empty().iterate(batch=batch)


def test_fields_come_back_as_the_type_they_were(bench: Bench) -> None:
    collection = bench.collection(fields={"text": "str", "n": "int", "x": "float", "yes": "bool"})
    fields = {
        "text": "", "n": -7, "x": 2.0, "yes": True,
        "text2": "1", "n2": 0, "x2": 1.0, "x3": 0.1 + 0.2, "x4": -1e-300, "yes2": False,
        "n3": 2**60 + 1,
    }  # fmt: skip
    collection.upsert([Record("a", unit(0), fields), Record("b", unit(1), {"x": 3})])
    hit = collection.search(unit(0)[None], k=1)[0][0]
    for found in (collection.get(["a"])["a"].fields, hit.fields):
        assert found == fields
        assert {n: type(v) for n, v in found.items()} == {n: type(v) for n, v in fields.items()}
    zeros = collection.get(["b"])["b"].fields
    assert zeros == {"text": "", "n": 0, "x": 3.0, "yes": False}
    assert [type(value) for _, value in sorted(zeros.items())] == [int, str, float, bool]


def test_nasty_texts_come_back_unchanged(bench: Bench) -> None:
    collection = bench.collection(fields={"text": "str", "n": "int"})
    collection.upsert(nasty_records())
    found = collection.get([f"r{i}" for i in range(len(NASTY))])
    assert [found[f"r{i}"].fields["text"] for i in range(len(NASTY))] == NASTY
    assert [found[f"r{i}"].fields["other"] for i in range(len(NASTY))] == NASTY
    (hits,) = collection.search(unit(0)[None], k=20)
    assert sorted(str(hit.fields["text"]) for hit in hits) == sorted(NASTY)


def test_nasty_ids_are_ids_like_others(bench: Bench) -> None:
    collection = bench.collection()
    names = [name[:512] for name in NASTY]
    collection.upsert(records([*names, "case", "CASE"]))
    assert collection.get(names).keys() == set(names)
    assert sorted(ids(collection.iterate(batch=3))) == sorted([*names, "case", "CASE"])
    assert collection.delete([*names, "Case"]) == len(names)
    assert sorted(ids(collection.iterate())) == ["CASE", "case"]
    assert collection.delete(["case"]) == 1
    assert ids(collection.iterate()) == ["CASE"]


def test_reader_cannot_change_what_is_stored(bench: Bench) -> None:
    collection = bench.collection()
    mine = unit(0).copy()
    collection.upsert([Record("a", mine, {"n": 1})])
    mine[:] = 9
    record = collection.get(["a"], vectors=True)["a"]
    assert record.vector is not None
    record.vector[:] = 9
    record.fields["n"] = 9  # type: ignore[index]  # a Mapping to type checkers
    again = collection.get(["a"], vectors=True)["a"]
    assert again.vector is not None
    assert again.vector.tolist() == [1, 0, 0, 0]
    assert again.fields == {"n": 1}


# -- searching ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # query (3, 4); a = (6, 8), b = (4, 3), c = (-4, 3), d = (0.6, 0.8): by hand
        # cosine: a 50/50 = 1, d 5/5 = 1, b 24/25 = .96, c (-12 + 12)/25 = 0
        ("cosine", {"a": (1, 0), "d": (1, 0), "b": (0.96, 0.04), "c": (0, 1)}),
        # inner product: a 18 + 32 = 50, b 12 + 12 = 24, d 1.8 + 3.2 = 5, c 0
        ("ip", {"a": (50, -50), "b": (24, -24), "d": (5, -5), "c": (0, 0)}),
        # squared distance: b 1 + 1 = 2, d 5.76 + 10.24 = 16, a 9 + 16 = 25, c 49 + 1 = 50;
        # score 1 - distance / 2
        ("l2", {"b": (0, 2), "d": (-7, 16), "a": (-11.5, 25), "c": (-24, 50)}),
    ],
)
def test_scores_and_distances_by_hand(
    bench: Bench, metric: Any, expected: dict[str, tuple[float, float]]
) -> None:
    collection = bench.collection(dim=2, metric=metric)
    rows = {"a": (6, 8), "b": (4, 3), "c": (-4, 3), "d": (0.6, 0.8)}
    collection.upsert([Record(name, vector(*values)) for name, values in rows.items()])
    (hits,) = collection.search(vector(3, 4)[None], k=4)
    found = {hit.id: (hit.score, hit.distance) for hit in hits}
    assert found.keys() == expected.keys()
    for name, (score, distance) in expected.items():
        assert found[name] == (pytest.approx(score, abs=1e-5), pytest.approx(distance, abs=1e-5))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)


def test_unit_vectors_score_alike_under_cosine_and_l2(bench: Bench) -> None:
    # angles 0, 60 and 90 degrees: cosines 1, 1/2, 0
    rows = {"a": (1, 0), "b": (0.5, 3**0.5 / 2), "c": (0, 1)}
    for metric in ("cosine", "l2", "ip"):
        collection = bench.collection(dim=2, metric=metric)  # type: ignore[arg-type]  # of a tuple
        collection.upsert([Record(name, vector(*values)) for name, values in rows.items()])
        (hits,) = collection.search(vector(1, 0)[None], k=3)
        assert [(h.id, round(h.score, 5)) for h in hits] == [("a", 1), ("b", 0.5), ("c", 0)]


def test_cosine_stays_within_its_bounds(bench: Bench) -> None:
    collection = bench.collection(dim=64)
    rows = np.random.default_rng(7).normal(size=(200, 64)).astype(np.float32)
    collection.upsert([Record(f"{i}", row) for i, row in enumerate(rows)])
    for hits in collection.search(rows, k=1):
        assert hits[0].score <= 1
        assert hits[0].distance >= 0
        assert hits[0].score == pytest.approx(1, abs=1e-5)
    for hits in collection.search(-rows, k=200):
        assert min(hit.score for hit in hits) >= -1


def test_order_is_nearest_first(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records("abcdefgh"))  # (1, i, 0, 0): ever further from (1, 0, 0, 0)
    (found,) = collection.search(unit(0)[None], k=5)
    assert ids(found) == ["a", "b", "c", "d", "e"]
    (found,) = collection.search(unit(1)[None], k=8)
    assert ids(found) == ["h", "g", "f", "e", "d", "c", "b", "a"]


def test_k_beyond_the_count_returns_all(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records("abc"))
    for k in (3, 4, 1_000, 16_384):
        assert sorted(ids(collection.search(unit(0)[None], k=k)[0])) == ["a", "b", "c"]


@pytest.mark.parametrize("k", [0, -1, 16_385])
def test_impossible_k_is_refused(bench: Bench, k: int) -> None:
    with pytest.raises(ConfigError, match="16,384"):
        bench.empty().search(unit(0)[None], k=k)


def test_impossible_effort_is_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="effort"):
        bench.empty().search(unit(0)[None], effort=0)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (np.ones((1, 5)), DimensionMismatch),
        (np.ones(4), DimensionMismatch),
        (np.zeros((1, 4)), VectorInvalid),
        (np.array([[1, 2, 3, NAN]]), VectorInvalid),
    ],
)
def test_bad_query_is_refused(bench: Bench, query: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        bench.empty().search(query)


def test_empty_collection_finds_nothing(bench: Bench) -> None:
    collection = bench.collection()
    assert collection.search(np.stack([unit(0), unit(1)])) == [[], []]
    assert collection.count() == 0
    assert list(collection.iterate()) == []
    assert collection.get(["a"]) == {}
    assert collection.delete(["a"]) == 0
    collection.flush()
    assert collection.search(np.empty((0, 4), dtype=np.float32)) == []


def test_batch_of_queries_answers_each_in_order(bench: Bench) -> None:
    collection = bench.collection(dim=8)
    collection.upsert([Record(f"axis {i}", unit(i, 8)) for i in range(8)])
    queries = np.tile(np.eye(8, dtype=np.float32), (80, 1))  # 640: more than one call's worth
    found = collection.search(queries, k=1)
    assert [hits[0].id for hits in found] == [f"axis {i % 8}" for i in range(640)]


def test_pages_follow_each_other(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records("abcdefgh"))  # (1, i, 0, 0): ever further from (1, 0, 0, 0)
    queries = np.stack([unit(0), unit(1)])
    pages = [collection.search(queries, k=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [ids(page[0]) for page in pages] == [list("abc"), list("def"), list("gh"), []]
    assert [ids(page[1]) for page in pages] == [list("hgf"), list("edc"), list("ba"), []]
    (found,) = collection.search(unit(0)[None], k=3, offset=2, where=Field("n") != 3)
    assert ids(found) == ["c", "e", "f"]
    # the cosine of (1, 3) with (1, 0) is 1 / sqrt(10) = .316, that of (1, 2) .447
    (found,) = collection.search(unit(0)[None], k=3, offset=1, min_score=0.4)
    assert ids(found) == ["b", "c"]
    assert collection.search(unit(0)[None], k=1, offset=16_383) == [[]]


@pytest.mark.parametrize(("k", "offset"), [(1, -1), (1, 16_384), (10_000, 6_385)])
def test_impossible_offset_is_refused(bench: Bench, k: int, offset: int) -> None:
    with pytest.raises(ConfigError, match="16,384"):
        bench.empty().search(unit(0)[None], k=k, offset=offset)


def test_min_score_leaves_out_what_is_further(bench: Bench) -> None:
    collection = bench.collection(dim=2)
    # cosines with (1, 0): 1, .8, .6, 0, -1
    rows = {"a": (1, 0), "b": (0.8, 0.6), "c": (0.6, 0.8), "d": (0, 1), "e": (-1, 0)}
    collection.upsert([Record(name, vector(*values)) for name, values in rows.items()])
    (found,) = collection.search(vector(1, 0)[None], min_score=0.7)
    assert ids(found) == ["a", "b"]
    (found,) = collection.search(vector(1, 0)[None], min_score=-0.5)
    assert ids(found) == ["a", "b", "c", "d"]
    assert collection.search(vector(1, 0)[None], min_score=1.5) == [[]]


# -- together ----------------------------------------------------------------------------------


def test_readers_beside_a_writer_see_whole_records(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records([f"old {i}" for i in range(50)]))
    done = threading.Event()

    def read() -> int:
        rounds = 0
        while not done.is_set() or not rounds:
            (found,) = collection.search(unit(0)[None], k=50, where=Field("n") < 50)
            assert len(found) == 50
            assert collection.get(["old 7"])["old 7"].fields == {"n": 7}
            assert collection.count() >= 50
            rounds += 1
        return rounds

    with ThreadPoolExecutor(4) as readers:
        running = [readers.submit(read) for _ in range(4)]
        try:
            for start in range(0, 400, 50):
                collection.upsert(
                    [
                        Record(f"new {i}", vector(1, i, 1, 1), {"n": 100 + i})
                        for i in range(start, start + 50)
                    ]
                )
                if start == 200:
                    collection.flush()
            collection.delete([f"new {i}" for i in range(100)])
        finally:
            done.set()
        assert all(reader.result() for reader in running)
    assert collection.count() == 350


def test_records_outlive_the_connection_on_disk(bench: Bench) -> None:
    assert bench.store.capabilities.persistent
    collection = bench.collection(index="hnsw")
    collection.upsert(records([f"{i}" for i in range(30)]))
    bench.reopen()
    again = bench.store.open(collection.name)
    assert again.count() == 30
    assert ids(again.search(unit(0)[None], k=2)[0]) == ["0", "1"]
    again.flush()
    bench.reopen()
    assert bench.store.open(collection.name).count(where=Field("n") >= 10) == 20


# -- collections of other programs -------------------------------------------------------------


def test_collection_of_another_program_is_read_and_never_written(bench: Bench) -> None:
    collection = bench.store.open(bench.foreign())
    assert (collection.foreign, collection.schema.encoder) == (True, None)
    assert bench.store.encoder(collection.name) is None
    assert (collection.schema.metric, collection.schema.dim) == ("l2", 4)
    (hits,) = collection.search(unit(2)[None], k=3, where=Field("year") > 2000)
    assert [(hit.id, hit.distance) for hit in hits] == [("2", 0), ("3", pytest.approx(2))]
    for write in (
        lambda: collection.upsert([Record("1", unit(0), FOREIGN[0])]),
        lambda: collection.delete(["1"]),
        lambda: bench.store.create(collection.name, collection.schema),
        lambda: notes.write(bench.store, collection, {"min_score": {}}),
    ):
        with pytest.raises(SchemaMismatch, match=f"{collection.name}.*not created by imgsearch"):
            write()
    rows = {record.id: record.fields for record in collection.iterate(vectors=False)}
    assert rows.keys() == {"1", "2", "3"}
    assert rows["1"].items() >= FOREIGN[0].items()


def test_collection_of_another_program_is_written_on_request(bench: Bench) -> None:
    collection = bench.store.open(bench.foreign())
    collection.upsert([Record("4", unit(0), FOREIGN[0])], foreign=True)
    assert collection.delete(["1"], foreign=True) == 1
    assert sorted(ids(collection.iterate())) == ["2", "3", "4"]


def test_asking_for_an_encoder_wants_the_collection(bench: Bench) -> None:
    with pytest.raises(CollectionNotFound):
        bench.store.encoder("nowhere")
    assert bench.store.encoder(bench.empty().name) is None


def test_encoder_is_never_noted_for_vectors_that_are_there(bench: Bench) -> None:
    collection = bench.collection()
    assert not collection.foreign
    collection.upsert(records(["a"]))
    marked = Schema(4, index=Index("flat"), fields={"n": "int"}, encoder=ENCODER)
    with pytest.raises(SchemaMismatch, match="encoder: none noted there, 紅-encoder asked for"):
        bench.store.create(collection.name, marked)


def test_collection_of_another_program_is_read_by_its_own_field_names(bench: Bench) -> None:
    collection = bench.store.open_named(bench.foreign(), bench.names())
    assert (collection.foreign, collection.key) == (True, bench.names().id or "id")
    (hits,) = collection.search(unit(2)[None], k=2, where=Field("label") == "hund")
    assert [(hit.id, hit.distance) for hit in hits] == [("2", 0), ("3", pytest.approx(2))]
    assert hits[0].fields.items() >= {"path": "/fotos/2.jpg", "label": "hund", "year": 2003}.items()
    assert not {"file", "class"} & hits[0].fields.keys()
    assert collection.get(["1"])["1"].fields["path"] == "/fotos/ü1.jpg"
    with pytest.raises(SchemaMismatch, match="not created by imgsearch"):
        collection.delete(["1"])
    for wrong in ({"id": "file"}, {"vector": "nothing"}):
        with pytest.raises(FieldInvalid, match=next(iter(wrong.values()))):
            bench.store.open_named(collection.name, bench.names(**wrong))


def test_fields_of_other_names_are_read_as_path_and_label(bench: Bench) -> None:
    names = FieldNames(path="file", label="class")
    made = bench.collection(fields={"file": "str", "class": "str", "year": "int", "path": "str"})
    made.upsert(Record(str(n), unit(n), {**row, "path": "?"}) for n, row in enumerate(FOREIGN, 1))
    made.flush()
    collection = bench.store.open_named(made.name, names)
    first = {"path": "/fotos/ü1.jpg", "label": "猫", "year": 1999}
    assert collection.search(unit(1)[None], k=1)[0][0].fields == first
    assert collection.get(["1"], vectors=True)["1"].fields == first
    assert {row.id: row.fields for row in collection.iterate()}["1"] == first
    for where, found in (
        (Field("label") == "hund", {"2", "3"}),
        (Field("class") == "hund", {"2", "3"}),
        (Field("path").isin(["/fotos/2.jpg"]) | (Field("year") < 2000), {"1", "2"}),
        (~(Field("label") == "hund") & (Field("year") < 2000), {"1"}),
    ):
        assert set(ids(collection.search(unit(0)[None], where=where)[0])) == found
        assert set(ids(collection.iterate(where=where))) == found
        assert collection.count(where) == len(found)
    assert collection.indexed() == made.indexed()
    assert type(bench.store.open_named(made.name, FieldNames())) is type(made)
    for write in (
        lambda: collection.upsert([Record("4", unit(0))]),
        lambda: collection.delete(["1"], foreign=True),
    ):
        with pytest.raises(SchemaMismatch, match="opened with field names"):
            write()
    with pytest.raises(FieldInvalid, match="pk"):
        bench.store.open_named(made.name, FieldNames(id="pk"))
    with pytest.raises(CollectionNotFound):
        bench.store.open_named("nowhere", names)
