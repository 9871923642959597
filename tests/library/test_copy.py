"""Copies of collections between stores are complete, resumable and verified."""

import json
import uuid
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from click.testing import CliRunner

from imgsearch.backends import Index, Schema, connect, versions
from imgsearch.backends.memory import MemoryCollection
from imgsearch.cli import cli
from imgsearch.errors import (
    BackendError,
    CollectionNotFound,
    ConfigError,
    EncoderMismatch,
    SchemaMismatch,
)
from imgsearch.library.copy import copy
from imgsearch.types import Fingerprint, Record

DIM = 8
SCHEMA = Schema(DIM, fields={"path": "str", "year": "int"}, encoder=Fingerprint("toy", DIM))


def records(number, seed=1):
    vectors = np.random.default_rng(seed).normal(size=(number, DIM)).astype(np.float32)
    return [
        Record(f"id-{place}", vector, {"path": f"猫/{place}.jpg", "year": place, "free": "x"})
        for place, vector in enumerate(vectors)
    ]


@pytest.fixture
def source():
    with connect(f"memory://{uuid.uuid4().hex}") as store:
        store.create("images", SCHEMA).upsert(records(1_234))
        yield store


@pytest.fixture(params=["memory", "milvus-lite"])
def target(request, tmp_path):
    url = f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "x.db")
    with connect(url) as store:
        yield store


@pytest.fixture
def other():
    with connect(f"memory://{uuid.uuid4().hex}") as store:
        yield store


def held(collection):
    return {
        record.id: (record.vector.round(5).tolist(), dict(record.fields))
        for record in collection.iterate()
    }


def test_copy_equals_its_source(source, target):
    progress = []
    done = copy(source, target, "images", on_progress=lambda *now: progress.append(now))
    copied = target.open("images")
    assert (done.copied, done.skipped, done.compared) == (1_234, 0, 100)
    assert held(copied) == held(source.open("images"))
    assert copied.schema.encoder == SCHEMA.encoder
    assert progress[-1] == (1_234, 1_234)


def test_copy_rejects_vectors_of_an_unknown_encoder(source, target):
    source.create("theirs", replace(SCHEMA, encoder=None)).upsert(records(3))
    copy(source, target, "images")
    with pytest.raises(EncoderMismatch, match="'theirs'.*does not say which encoder"):
        copy(source, target, "theirs", name="images")
    assert target.open("images").count() == 1_234
    assert copy(source, target, "theirs").copied == 3
    assert target.open("theirs").schema.encoder is None


def test_copying_again_writes_nothing(source, target):
    copy(source, target, "images")
    done = copy(source, target, "images")
    assert (done.copied, done.skipped) == (0, 1_234)


def test_interrupted_copy_resumes(source, target):
    class PulledPlugError(Exception):
        pass

    def pull(done, total):
        if done >= 1_000:
            raise PulledPlugError

    with pytest.raises(PulledPlugError):
        copy(source, target, "images", on_progress=pull)
    done = copy(source, target, "images")
    assert (done.copied, done.skipped) == (234, 1_000)
    assert held(target.open("images")) == held(source.open("images"))


def test_changed_field_is_copied_again(source, target):
    copy(source, target, "images")
    changed = source.open("images").get(["id-7"], vectors=True)["id-7"]
    source.open("images").upsert([Record("id-7", changed.vector, {**changed.fields, "year": 1999})])
    assert copy(source, target, "images").copied == 1
    assert target.open("images").get(["id-7"])["id-7"].fields["year"] == 1999


def test_copy_can_change_index_metric_and_name(source, target):
    copy(source, target, "images", index="ivf_flat:nlist=4", metric="l2")
    schema = target.open("images").schema
    assert (schema.index, schema.metric) == (Index("ivf_flat", {"nlist": 4}), "l2")


def test_target_with_another_schema_is_rejected(source, target):
    target.create("images", Schema(DIM + 1))
    with pytest.raises(SchemaMismatch, match="dimension"):
        copy(source, target, "images")


def test_different_vectors_under_the_same_ids_raise(source, target):
    target.create("images", SCHEMA).upsert(records(1_234, seed=2))
    with pytest.raises(BackendError, match="differs in"):
        copy(source, target, "images")


def test_lost_records_raise(source, target, monkeypatch):
    images = target.create("images", SCHEMA)
    whole = type(images)._upsert
    monkeypatch.setattr(type(images), "_upsert", lambda self, rows: whole(self, rows[:-1]))
    with pytest.raises(BackendError, match=r"holds [\d,]+\. Copy again"):
        copy(source, target, "images")


def test_copy_onto_itself_is_rejected():
    with connect("memory://one") as store:
        store.create("images", SCHEMA).upsert(records(3))
        copy(store, store, "images", name="bilder")
        with pytest.raises(ConfigError, match="onto itself"):
            copy(store, store, "images")


def current(store, name):
    return versions.open_named(store, name)


def test_alias_moves_to_a_verified_copy_and_the_old_collection_stays(source, other):
    other.create("images", replace(SCHEMA, encoder=Fingerprint("alt", DIM))).upsert(records(3))
    watch = versions.Watch(other, "images")
    seen = []
    done = copy(
        source,
        other,
        "images",
        alias="images",
        writers=3,
        on_progress=lambda *_: seen.append(versions.read(other, "images").current),
    )
    assert (done.copied, done.skipped, done.compared) == (1_234, 0, 100)
    assert seen[:-1] == ["images"] * (len(seen) - 1)
    assert watch.moved(now=True)
    assert watch.current == "images_v2"
    assert held(current(other, "images")) == held(source.open("images"))
    assert versions.read(other, "images").former == ("images",)
    assert other.open("images").count() == 3
    again = copy(source, other, "images", alias="images")
    assert (again.copied, again.skipped) == (0, 1_234)
    assert current(other, "images").name == "images_v2"


def test_alias_of_a_new_name_is_found_after_the_copy_only(source, other):
    def check(done, total):
        if done < total:
            with pytest.raises(CollectionNotFound):
                current(other, "fotos")
            assert "fotos" not in versions.collections(other)

    copy(source, other, "images", alias="fotos", on_progress=check)
    assert current(other, "fotos").count() == 1_234
    assert versions.read(other, "fotos").former == ()
    assert "fotos" in versions.collections(other)


def test_alias_of_the_store_moves_with_the_readers(source, tmp_path):
    with connect(str(tmp_path / "x.db")) as other:
        other.create("a1", SCHEMA).upsert(records(2))
        other.set_alias("fotos", "a1")
        copy(source, other, "images", alias="fotos")
        assert other.open("fotos").count() == 1_234  # as another program finds it
        assert versions.read(other, "fotos").former == ("a1",)
        assert other.open("a1").count() == 2


def test_interrupted_copy_with_an_alias_resumes(source, other):
    class PulledPlugError(Exception):
        pass

    def pull(done, total):
        if done >= 1_000:
            raise PulledPlugError

    with pytest.raises(PulledPlugError):
        copy(source, other, "images", alias="fotos", writers=2, on_progress=pull)
    done = copy(source, other, "images", alias="fotos")
    assert done.skipped >= 1_000
    assert held(current(other, "fotos")) == held(source.open("images"))


def test_changed_source_becomes_another_version(source, other):
    copy(source, other, "images", alias="fotos")
    source.open("images").delete(["id-7"])
    assert copy(source, other, "images", alias="fotos").copied == 1_233
    assert current(other, "fotos").name == "fotos_v3"
    assert current(other, "fotos").count() == 1_233


def test_unfinished_migration_is_not_mixed_with_a_copy(source, other):
    other.create("images", SCHEMA)
    another = replace(SCHEMA, encoder=Fingerprint("neu", DIM))
    shadow = versions.begin(other, "images", another)
    with pytest.raises(ConfigError, match="'images' is unfinished.*--discard"):
        copy(source, other, "images", alias="images")
    versions.discard(other, "images")
    shadow = versions.begin(other, "images", SCHEMA)
    shadow.upsert([replace(record, id=f"other-{record.id}") for record in records(2)])
    with pytest.raises(BackendError, match=r"1,236 records instead of 1,234.*--discard"):
        copy(source, other, "images", alias="images")
    assert current(other, "images").name == "images"


@pytest.mark.parametrize("options", [{"writers": 0}, {"writers": 65}, {"name": "a", "alias": "b"}])
def test_invalid_options_are_rejected(source, other, options):
    with pytest.raises(ConfigError):
        copy(source, other, "images", **options)
    assert other.names() == []


def test_error_of_a_writer_ends_the_copy(source, other, monkeypatch):
    images = other.create("images", SCHEMA)
    monkeypatch.setattr(type(images), "_upsert", raise_full)
    with pytest.raises(BackendError, match="disk is full"):
        copy(source, other, "images", writers=4)


def raise_full(_collection, _records):
    raise BackendError("the disk is full")


def test_command_copies_between_urls(tmp_path):
    url = str(tmp_path / "a.db")
    with connect(url) as store:
        store.create("images", SCHEMA).upsert(records(20))
    words = ["copy", url, str(tmp_path / "b.db"), "--as", "bilder", "--json"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["copied"] == 20
    missing = CliRunner().invoke(cli, ["copy", url, "memory://x", "--collection", "nichts"])
    assert missing.exit_code == 1
    assert isinstance(missing.exception, SystemExit)
    with connect(str(tmp_path / "b.db")) as store, pytest.raises(CollectionNotFound):
        store.open("images")


class EndsEarly(MemoryCollection):
    """Reads a tenth of its records, like a server whose pages ended early."""

    def _iterate(self, where, *, vectors, batch):
        return islice(super()._iterate(where, vectors=vectors, batch=batch), self.count() // 10)


class CountsTwice(MemoryCollection):
    """Counts the first hundred ids twice, and reads them once."""

    def _count(self, where):
        return super()._count(where) + self.doubled()

    def doubled(self, where=None):
        return 100


def test_copy_fails_if_records_are_missing(source, target):
    collection = source.open("images")
    source.open = lambda name: EndsEarly(name, collection._all)
    with pytest.raises(BackendError, match="the copy is incomplete: .*123 of 1,234 records"):
        copy(source, target, "images")


def test_copy_counts_rows_that_repeat_an_id(source, target):
    collection = source.open("images")
    source.open = lambda name: CountsTwice(name, collection._all)
    progress = []
    done = copy(source, target, "images", on_progress=lambda *now: progress.append(now))
    assert (done.copied, done.doubled) == (1_234, 100)
    assert target.open("images").count() == 1_234
    assert progress[-1] == (1_234, 1_234)
