"""Contract tests for records: upsert, get, iterate and delete."""

import numpy as np
import pytest

from imgsearch.errors import (
    ConfigError,
    DimensionMismatch,
    FieldInvalid,
    VectorInvalid,
)
from imgsearch.filters import Field
from imgsearch.testing.contract.bench import NASTY, Bench, ids, nasty_records, records, unit, vector
from imgsearch.types import Fingerprint, Record

ENCODER = Fingerprint("紅-encoder", 4, weights="ab" * 32, preprocessing="resize 224", options="")
NAN, INFINITY = float("nan"), float("inf")


def test_upserted_record_is_found_at_once(bench: Bench) -> None:
    collection = bench.collection()
    for i in range(8):
        collection.upsert([Record(f"r{i}", vector(1, i, 0, 0), {"n": i})])
        (hits,) = collection.search(vector(1, i, 0, 0)[None], k=1)
        assert ids(hits) == [f"r{i}"]
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
    (hits,) = collection.search(unit(1)[None], k=5)
    assert [(hit.id, hit.score) for hit in hits] == [("a", pytest.approx(1))]
    assert hits[0].fields == record.fields


def test_upsert_replaces_after_flush(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert([Record("a", unit(0), {"n": 1, "old": True}), Record("b", unit(2))])
    collection.flush()
    collection.upsert([Record("a", unit(1), {"n": 2})])
    assert collection.count() == 2
    assert collection.get(["a"])["a"].fields == {"n": 2}
    (hits,) = collection.search(unit(1)[None], k=5)
    assert [(hit.id, round(hit.score, 5)) for hit in hits] == [("a", 1), ("b", 0)]


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
        (Record(7, unit(0)), FieldInvalid),  # type: ignore[arg-type]  # as a caller may pass it
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


def test_get_returns_only_existing_records(bench: Bench) -> None:
    collection = bench.collection()
    collection.upsert(records("abc"))
    known = collection.get(["b", "nobody", "a", "b", "", "x" * 600, "nul\0", "\ud800"])
    assert sorted(known) == ["a", "b"]
    assert known["b"] == Record("b", None, {"n": 1})
    assert collection.get([]) == {}


def test_get_returns_the_vectors_that_were_written(bench: Bench) -> None:
    collection = bench.collection(metric="l2", dim=3)
    written = {"a": vector(0.1, -2.5, 1e-9), "b": vector(3e9, 1 / 3, 0)}
    collection.upsert([Record(name, values) for name, values in written.items()])
    for name, record in collection.get(list(written), vectors=True).items():
        assert record.vector is not None
        assert record.vector.dtype == np.float32
        assert record.vector.tolist() == written[name].tolist()


def test_delete_counts_existing_records(bench: Bench) -> None:
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


def test_fields_keep_their_types(bench: Bench) -> None:
    collection = bench.collection(fields={"text": "str", "n": "int", "x": "float", "yes": "bool"})
    fields = {
        "text": "", "n": -7, "x": 2.0, "yes": True,
        "text2": "1", "n2": 0, "x2": 1.0, "x3": 0.1 + 0.2, "x4": -1e-300, "yes2": False,
        "n3": 2**60 + 1,
    }  # fmt: skip
    collection.upsert([Record("a", unit(0), fields), Record("b", unit(1), {"x": 3})])
    hit = collection.search(unit(0)[None], k=1)[0][0]
    for stored in (collection.get(["a"])["a"].fields, hit.fields):
        assert stored == fields
        assert {n: type(v) for n, v in stored.items()} == {n: type(v) for n, v in fields.items()}
    zeros = collection.get(["b"])["b"].fields
    assert zeros == {"text": "", "n": 0, "x": 3.0, "yes": False}
    assert [type(value) for _, value in sorted(zeros.items())] == [int, str, float, bool]


def test_nasty_texts_come_back_unchanged(bench: Bench) -> None:
    collection = bench.collection(fields={"text": "str", "n": "int"})
    collection.upsert(nasty_records())
    stored = collection.get([f"r{i}" for i in range(len(NASTY))])
    assert [stored[f"r{i}"].fields["text"] for i in range(len(NASTY))] == NASTY
    assert [stored[f"r{i}"].fields["other"] for i in range(len(NASTY))] == NASTY
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


def test_changes_to_returned_records_are_not_stored(bench: Bench) -> None:
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
