"""Tuning on real stores: measurements, cleanup, and faulty stores."""

import uuid

import numpy as np
import pytest

from imgsearch.backends import Index, Schema, connect, memory
from imgsearch.errors import BackendError, CollectionNotFound, ConfigError
from imgsearch.evaluation.index.candidates import Candidate, candidates, memory_estimate
from imgsearch.evaluation.index.trials import Measurement
from imgsearch.evaluation.index.tune import cheapest, tune
from imgsearch.types import Record

DIM = 16
TIMES = {"p50", "p95", "p99", "write", "build"}


def records(number, seed=5):
    """Return records around 20 centers, like embeddings of things, with texts in their fields."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(20, DIM))
    rows = centers[rng.integers(20, size=number)] + 0.5 * rng.normal(size=(number, DIM))
    return [
        Record(f"id-{place}", row.astype(np.float32), {"path": f"猫/{place}.jpg"})
        for place, row in enumerate(rows)
    ]


def filled(store, number, *, name="images", index="flat", metric="cosine"):
    collection = store.create(name, Schema(DIM, metric, Index.parse(index), {"path": "str"}))
    collection.upsert(records(number))
    collection.flush()
    return collection


def held(collection):
    return {
        record.id: (record.vector.tolist(), dict(record.fields)) for record in collection.iterate()
    }


def without_times(tuning):
    rows = [{n: v for n, v in row.items() if n not in TIMES} for row in tuning.rows()]
    return rows, tuning.notes


@pytest.fixture
def store():
    with connect(f"memory://{uuid.uuid4().hex}") as opened:
        yield opened


class Liar(memory.Backend):
    """A store with a faulty search in trial collections only."""

    kind = memory.MemoryCollection

    def create(self, name, schema):
        collection = super().create(name, schema)
        collection.__class__ = self.kind
        return collection


class Forgetful(memory.MemoryCollection):
    """Returns too few hits."""

    def _search(self, queries, *, k, where, effort):
        hits_by_query = super()._search(queries, k=k, where=where, effort=effort)
        return [hits[: k - 2] for hits in hits_by_query]


class Boastful(memory.MemoryCollection):
    """Returns the farthest rows with the scores of the nearest."""

    def _search(self, queries, *, k, where, effort):
        near = super()._search(queries, k=k, where=where, effort=effort)
        far = super()._search(-queries, k=k, where=where, effort=effort)
        return [
            [type(a)(b.id, a.score, a.distance, b.fields) for a, b in zip(*pair, strict=True)]
            for pair in zip(near, far, strict=True)
        ]


class Interrupted(memory.MemoryCollection):
    """Raises KeyboardInterrupt when the first trial is searched."""

    def _search(self, queries, *, k, where, effort):
        raise KeyboardInterrupt


class Broken(memory.MemoryCollection):
    def _upsert(self, records):
        raise BackendError("the disk is full")


def lying(kind):
    backend = type("Backend", (Liar,), {"kind": kind})
    return backend(f"memory://{uuid.uuid4().hex}", token=None, timeout=1)


def test_exact_search_has_recall_one_and_the_collection_is_only_read(store):
    collection = filled(store, 300)
    before = held(collection)
    done = tune(store, "images", queries=40)
    (only,) = done.measurements
    assert (only.index, only.effort, only.recall, only.exact) == ("flat", None, 1.0, True)
    assert (only.low, only.high, only.short) == (1.0, 1.0, 0)
    assert (done.searched, done.queries, only.indexed) == (260, 40, 260)
    assert only.memory == 260 * 4 * DIM
    assert only.disk is None
    assert 0 < only.p50 <= only.p95 <= only.p99
    assert done.best == only
    assert store.names() == ["images"]
    assert held(collection) == before


def test_store_with_exact_search_is_recognized(store):
    filled(store, 50, index="hnsw")
    done = tune(store, "images")
    assert any("searches exactly" in line and "builds no hnsw" in line for line in done.notes)
    with pytest.raises(ConfigError, match="searches exactly"):
        tune(store, "images", indexes=["hnsw:M=8", "ivf_flat"])


def test_small_collection_gets_a_warning_and_half_of_it_as_queries(store):
    filled(store, 30)
    done = tune(store, "images", queries=200)
    assert (done.queries, done.searched) == (15, 15)
    assert any("below about 50,000" in line for line in done.notes)


def test_small_collection_keeps_its_index_unless_recall_is_too_low(store):
    filled(store, 60, index="hnsw")  # searched exactly by this store
    assert tune(store, "images", queries=9).stay
    forgetful = lying(Forgetful)
    filled(forgetful, 60)
    assert not tune(forgetful, "images", queries=9, target=0.95).stay


def test_queries_depend_only_on_the_seed(store):
    filled(store, 200)
    collection = store.create("backward", store.open("images").schema)
    collection.upsert(records(200)[::-1])
    one, same, other = (
        tune(store, name, queries=9, seed=seed)
        for name, seed in (("images", 1), ("backward", 1), ("images", 2))
    )
    assert without_times(one) == without_times(same)
    assert one.seed != other.seed


def test_duplicate_of_a_query_counts_as_neighbor(store):
    """Every row twice: the twin of a query stays, unless it is a query, too."""
    rows = records(60)
    collection = store.create("images", Schema(DIM, "cosine", Index("flat"), {"path": "str"}))
    collection.upsert(rows)
    collection.upsert(Record(f"{record.id}-双", record.vector, record.fields) for record in rows)
    assert tune(store, "images", k=9, queries=30).measurements[0].recall == 1.0


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_tune_supports_other_metrics(store, metric):
    filled(store, 100, metric=metric)
    assert tune(store, "images", queries=20).measurements[0].recall == 1.0


def test_store_with_too_few_hits_raises(store):
    filled(store, 100)
    with lying(Forgetful) as liar:
        done = tune(store, "images", into=liar, queries=20, k=10)
        (only,) = done.measurements
        assert only.recall == pytest.approx(0.8)
        assert only.short == 20
        assert done.best is None
        assert any("too few hits for up to 20" in line for line in done.notes)
        assert liar.names() == []


def test_scores_of_the_store_are_recomputed(store):
    filled(store, 100)
    with lying(Boastful) as liar:
        assert tune(store, "images", into=liar, queries=20).measurements[0].recall == 0.0


@pytest.mark.parametrize(
    ("kind", "error"), [(Interrupted, KeyboardInterrupt), (Broken, BackendError)]
)
def test_only_trials_are_dropped_on_an_error(store, kind, error):
    filled(store, 50)
    with lying(kind) as liar:
        memory.Backend.create(liar, "images", store.open("images").schema)
        memory.Backend.create(liar, "tune_mine", store.open("images").schema)
        with pytest.raises(error):
            tune(store, "images", into=liar, queries=5)
        assert liar.names() == ["images", "tune_mine"]


def test_leftovers_of_a_killed_run_are_reported_and_kept(store):
    filled(store, 50)
    filled(store, 5, name="tune_old")
    done = tune(store, "images", queries=5)
    assert any("tune_old" in line for line in done.notes)
    assert store.names() == ["images", "tune_old"]


def test_concurrent_change_of_the_collection_raises(store):
    collection = filled(store, 50)

    def meddle(stage, done, total):
        if stage.startswith("exact"):
            collection.upsert([Record("new", records(1)[0].vector)])

    with pytest.raises(BackendError, match="had 45 records"):
        tune(store, "images", queries=5, on_progress=meddle)
    assert store.names() == ["images"]


def test_progress_reports_every_stage_to_its_end(store):
    filled(store, 700)
    stages = {}
    tune(store, "images", queries=100, on_progress=lambda stage, *now: stages.update({stage: now}))
    assert stages == {
        "exact search": (600, 600),
        "writing flat": (600, 600),
        "searching flat": (1, 1),
    }


def test_too_few_records_raise(store):
    with pytest.raises(CollectionNotFound):
        tune(store, "nirgends")
    filled(store, 1)
    with pytest.raises(ConfigError, match="holds 1 record"):
        tune(store, "images")
    for wrong in ({"target": 0}, {"target": 1.5}, {"queries": 0}, {"k": 0}):
        with pytest.raises(ConfigError):
            tune(store, "images", **wrong)


GRID = ["flat", "ivf_flat:nlist=64@1,64", "ivf_sq8:nlist=64@64", "hnsw:M=4,efConstruction=8@10,400"]


@pytest.fixture(params=[pytest.param("milvus-lite", marks=pytest.mark.long), "milvus"])
def milvus(request, place_of):
    url, token = place_of(request.param)
    with connect(url, token=token) as opened:
        yield opened


def test_milvus_indexes_gain_recall_with_effort(milvus):
    name = f"bilder_{uuid.uuid4().hex}"
    collection = filled(milvus, 3_000, name=name, index="hnsw")
    others = milvus.names()
    try:
        done = tune(milvus, name, indexes=GRID, queries=50, target=0.9)
        by_index = {
            (measurement.index.partition(":")[0], measurement.effort): measurement
            for measurement in done.measurements
        }
        assert by_index["flat", None].recall > 0.999  # Milvus sums in float32
        assert by_index["ivf_flat", 1].recall < 0.99
        assert by_index["ivf_flat", 64].recall > 0.999  # all cells
        assert by_index["ivf_sq8", 64].recall > 0.8
        assert by_index["hnsw", 10].recall <= by_index["hnsw", 400].recall
        assert all(
            measurement.indexed == done.searched == 2_950 for measurement in done.measurements
        )
        embedded = milvus.url.startswith("milvus-lite")
        assert all((measurement.disk is not None) == embedded for measurement in done.measurements)
        assert done.best in done.measurements
        assert done.best.recall >= 0.9
        assert milvus.names() == others
        assert collection.count() == 3_000
    finally:
        milvus.drop(name)


@pytest.mark.parametrize("place", ["tencent", "tencent+grpc"])
def test_tencent_indexes_are_tried_and_dropped(place, place_of):
    """Uses the emulator, which always searches exactly, so recall has no meaning."""
    url, token = place_of(place)
    with connect(url, token=token) as cloud:
        name = f"bilder_{uuid.uuid4().hex}"
        collection = filled(cloud, 300, name=name, index="hnsw")
        others = cloud.names()
        try:
            done = tune(cloud, name, indexes=GRID, queries=20, target=0.9)
            kinds = {measurement.index.partition(":")[0] for measurement in done.measurements}
            assert kinds == {"flat", "ivf_flat", "ivf_sq8", "hnsw"}
            assert all(
                measurement.recall > 0.999
                for measurement in done.measurements
                if "sq8" not in measurement.index
            )
            assert done.best in done.measurements
            assert cloud.names() == others
            assert collection.count() == 300
        finally:
            cloud.drop(name)


@pytest.mark.servers
def test_index_rejected_by_the_store_is_skipped_and_reported(store, place_of):
    """Uses a server, because milvus-lite accepts any parameters. Servers do not index few rows."""
    filled(store, 60)
    url, token = place_of("milvus")
    with connect(url, token=token) as server:
        done = tune(store, "images", into=server, indexes=["hnsw:M=100000", "hnsw@10"], queries=5)
        (only,) = done.measurements
        assert (only.index, only.indexed) == ("hnsw:M=16,efConstruction=200", 0)
        assert any(line.startswith("hnsw:M=100000") for line in done.notes)
        assert any("reports 0 of 55 rows as indexed" in line for line in done.notes)
        assert not [name for name in server.names() if name.startswith("tune_")]


def test_candidate_is_parsed_as_index_and_efforts():
    assert Candidate.parse("hnsw:M=8@64,32,5", k=10) == Candidate(
        Index("hnsw", {"M": 8}), (10, 32, 64)
    )
    assert Candidate.parse("ivf_sq8:nlist=32@99,4", k=10).efforts == (4, 32)
    assert Candidate.parse("hnsw", k=100).efforts == (100, 128, 256, 512)
    assert Candidate.parse("hnsw", k=300).efforts == (300, 512, 600)
    assert Candidate.parse("ivf_flat:nlist=1024", k=10).efforts == (1, 4, 16, 64, 256)
    assert Candidate.parse("flat", k=10).efforts == (None,)
    for wrong in ("flat@1", "hnsw@", "hnsw@0", "hnsw@viel", "baum"):
        with pytest.raises(ConfigError):
            Candidate.parse(wrong, k=10)


def test_candidates_start_with_the_current_index_without_repeats():
    """50,000 rows: 4 sqrt(50,000) = 894, so 1,024 cells."""
    tried = [str(candidate.index) for candidate in candidates(Index("hnsw"), rows=50_000, k=10)]
    assert tried == [
        "hnsw:M=16,efConstruction=200",
        "flat",
        "ivf_flat:nlist=1024",
        "ivf_sq8:nlist=1024",
        "hnsw:M=32,efConstruction=200",
    ]


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        ("flat", 100 * 32),  # 8 dimensions of 4 bytes
        ("ivf_flat:nlist=4", 100 * (32 + 8) + 4 * 32),
        ("ivf_sq8:nlist=4", 100 * (8 + 8) + 4 * 32),
        ("ivf_pq:nlist=4,M=2", 100 * (2 + 8) + 4 * 32),
        ("hnsw:M=16", 100 * (32 + 128)),
        ("hnsw_sq:M=16,bits=6", 100 * (6 + 128)),
        ("hnsw_sq:M=16,bits=16", 100 * (16 + 128)),
        ("ivf_rabitq:nlist=4,refine_bits=8", 100 * (1 + 16 + 8) + 4 * 32),
        ("diskann", 720),  # 32 bytes, an eighth and a tenth of them: 7.2
        ("gpu_cagra:graph_degree=32", 100 * (32 + 128)),
    ],
)
def test_memory_estimate_matches_the_formula(index, wanted):
    assert memory_estimate(Index.parse(index), rows=100, dim=8) == wanted


def test_cheapest_is_the_fastest_or_a_smaller_equally_fast_one():
    def measured(index, recall, p50, memory):
        return Measurement(
            index, None, recall, 0, 1, p50, p50, p50, 0, 0, memory, None, 0, exact=False, short=0
        )

    hasty = measured("hasty", 0.90, 0.5, 1)
    quick = measured("quick", 0.97, 1.0, 900)
    small = measured("small", 0.95, 1.09, 300)
    slow = measured("slow", 1.00, 1.2, 100)
    every = [hasty, quick, small, slow]
    assert cheapest(every, 0.95) == small
    assert cheapest(every, 0.96) == quick
    assert cheapest(every, 0.98) == slow
    assert cheapest(every, 0.5) == hasty
    assert cheapest([hasty], 0.95) is None


def test_indexes_for_size_are_candidates_where_a_store_builds_them():
    kinds = {"hnsw", "hnsw_sq", "ivf_pq", "diskann"}
    few = candidates(Index("hnsw"), rows=49_999, k=10, dim=512, kinds=kinds)
    assert not {"hnsw_sq", "ivf_pq"} & {candidate.index.kind for candidate in few}
    many = candidates(Index("hnsw"), rows=50_000, k=10, dim=512, kinds=kinds)
    assert [str(candidate.index) for candidate in many[5:]] == [
        "hnsw_sq:M=16,efConstruction=200,bits=8",
        "ivf_pq:nlist=1024,M=128",
    ]
    assert many[5].efforts == (16, 32, 64, 128, 256, 512)
