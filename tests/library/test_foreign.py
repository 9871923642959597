"""Libraries over collections of other programs, without a recorded encoder."""

import uuid

import numpy as np
import pytest

import imgsearch
from imgsearch.backends import Schema
from imgsearch.errors import ConfigError, EncoderMismatch, EncoderWarning, SchemaMismatch
from imgsearch.evaluation.evaluator import evaluate_collection
from imgsearch.evaluation.index.tune import tune
from imgsearch.evaluation.options import EvaluationOptions
from imgsearch.filters import Field
from imgsearch.query import Query
from imgsearch.types import Record
from tests.pictures import write


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "猫", 2)
    return tmp_path


@pytest.fixture(scope="module")
def encoder():
    return imgsearch.load_encoder("classic")


@pytest.fixture
def unmarked(bench, encoder):
    """Return the name of a collection without a fingerprint, if possible by another program."""
    if bench.name not in ("memory", "own"):
        return bench.foreign(dim=encoder.dim)
    collection = bench.store.create(bench.new_name(), Schema(encoder.dim))
    collection.upsert(Record(str(n), np.eye(encoder.dim)[n], {"file": "x"}) for n in range(1, 4))
    return collection.name


def test_foreign_collection_is_never_written_to(bench, unmarked, folder):
    before = {row.id: row.fields for row in bench.store.open(unmarked).iterate(vectors=False)}
    with imgsearch.open(
        bench.url, collection=unmarked, model="classic", token=bench.token
    ) as library:
        row = Record("0" * 64, np.ones(library.collection.schema.dim, np.float32))
        for write_ in (
            lambda: library.add(folder),
            lambda: library.insert([row]),
            lambda: library.remove("1"),
            lambda: library.remove("0" * 64),
            lambda: library.thresholds.keep_duplicates({"threshold": 0.5}),
        ):
            with pytest.raises(SchemaMismatch, match=f"{unmarked}.*imgsearch does not write to it"):
                write_()
    after = {row.id: row.fields for row in bench.store.open(unmarked).iterate(vectors=False)}
    assert (before, len(after)) == (after, 3)


def test_foreign_collection_is_searched_only_with_a_named_encoder(bench, unmarked, folder):
    image = next(folder.rglob("*.png"))
    place = {"collection": unmarked, "token": bench.token}
    with imgsearch.open(bench.url, **place) as library:
        for query in (image, Query(image).plus(np.ones(library.collection.schema.dim))):
            with pytest.raises(EncoderMismatch, match=f"{unmarked}.*Name that encoder: model="):
                library.search(query)
        vector = np.eye(library.collection.schema.dim, dtype=np.float32)[2]
        assert library.search(vector, k=1)[0].id == "2"  # vectors need no encoder
        assert "unknown encoder" in repr(library)
    with imgsearch.open(bench.url, model="classic", **place) as library:
        with pytest.warns(EncoderWarning, match="nothing vouches that 'classic' made") as caught:
            assert len(library.search(image, k=2)) == 2
        assert caught[0].filename == __file__
        with pytest.warns(EncoderWarning):
            library.encode(image)
    with (
        imgsearch.open(bench.url, model="lite", **place) as library,
        pytest.raises(EncoderMismatch, match="dim"),
    ):
        library.search(image)


def test_fields_of_another_program_are_searched_by_name(bench, encoder, folder):
    place = {"collection": bench.foreign(dim=encoder.dim), "token": bench.token}
    names = bench.names()
    fields = {f"{part}_field": getattr(names, part) for part in ("id", "vector", "path", "label")}
    image = next(folder.rglob("*.png"))
    with imgsearch.open(bench.url, model="classic", **place, **fields) as library:
        with pytest.warns(EncoderWarning):
            (hit,) = library.search(image, where=Field("label") == "猫")
        assert (hit.id, hit.fields["path"], hit.fields["year"]) == ("1", "/fotos/ü1.jpg", 1999)
        options = EvaluationOptions(ks=(1,))
        run = evaluate_collection(library.collection, library.url, options=options)
        assert run.measures.queries == 2  # queries of the label with two rows
        for write_ in (lambda: library.add(folder), lambda: library.remove("1")):
            with pytest.raises((ConfigError, SchemaMismatch), match="field names|not created"):
                write_()
    tuned = tune(bench.store, place["collection"], names=names, indexes=["flat"], queries=1, k=1)
    assert tuned.best.recall == 1
    with (
        imgsearch.open(f"memory://{uuid.uuid4().hex}", label_field="class") as library,
        pytest.raises(ConfigError, match="opened with field names"),
    ):
        library.add(folder)


def test_foreign_collection_created_after_open_is_rejected(folder, encoder):
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.open(url) as library, imgsearch.connect(url) as store:
        store.create("images", Schema(encoder.dim))
        for act in (library.add, library.search):
            with pytest.raises((SchemaMismatch, EncoderMismatch), match="which encoder made"):
                act(next(folder.rglob("*.png")))


def test_hide_duplicates_ignores_the_field_image_of_another_program(encoder):
    """The field "image" names a region's image only in a library with regions."""
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.connect(url) as store:
        store.create("images", Schema(encoder.dim)).upsert(
            Record(str(n), np.eye(encoder.dim)[n], {"image": f"{n}.jpg"}) for n in range(3)
        )
        with imgsearch.open(url) as library:
            vector = np.eye(encoder.dim, dtype=np.float32)[1]
            assert len(library.search(vector, hide_duplicates=0.9)) == 3
