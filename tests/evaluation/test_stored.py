"""An existing collection is measured with its own records."""

import numpy as np
import pytest

import imgsearch
from imgsearch.backends import Schema
from imgsearch.datasets import dataset
from imgsearch.errors import DatasetError, FieldInvalid
from imgsearch.evaluation.evaluator import evaluate, evaluate_collection
from imgsearch.evaluation.options import EvaluationOptions
from imgsearch.types import Record
from tests.pictures import write

PLANE = Schema(2, fields={"label": "str", "art": "str"})


def at(degrees):
    turn = np.deg2rad(degrees)
    return np.array([np.cos(turn), np.sin(turn)], dtype=np.float32)


@pytest.fixture
def filled(bench):
    collection = bench.store.create(bench.new_name(), PLANE)
    rows = [
        ("a", 0, "niño"),
        ("b", 10, "niño"),
        ("c", 25, "hund"),
        ("d", 32, "hund"),
        ("e", 90, ""),
    ]
    collection.upsert(Record(id_, at(turn), {"label": name}) for id_, turn, name in rows)
    collection.flush()
    return collection


def test_figures_match_values_worked_by_hand(filled):
    """Nearest of a: b; of b: a; of c: d; of d: c. e has no class: never a query, always wrong."""
    run = evaluate_collection(filled, "memory://x", options=EvaluationOptions(ks=(1, 3)))
    assert run.measures.queries == 4
    assert run.measures.metrics["hit@1"] == 1
    assert run.measures.metrics["precision@3"] == pytest.approx(1 / 3)
    assert {answer.query for answer in run.answers} == {"a", "b", "c", "d"}
    assert any("1 of 5 images have no label" in note for note in run.notes)


def test_queries_are_sampled_reproducibly(filled):
    options = EvaluationOptions(ks=(1,))
    first, second = (evaluate_collection(filled, "x", most=2, options=options) for _ in range(2))
    assert [answer.query for answer in first.answers] == [answer.query for answer in second.answers]
    assert len(first.answers) == 2
    assert any("2 of 4 labeled images were drawn" in note for note in first.notes)
    assert first.subject == second.subject


def test_undeclared_field_is_named_with_the_declared_ones(filled):
    with pytest.raises(FieldInvalid, match="no field 'klasse'; it has: art, label"):
        evaluate_collection(filled, "x", label="klasse")


def test_classes_of_one_image_are_rejected(filled):
    with pytest.raises(DatasetError, match="no class has two images"):
        evaluate_collection(filled, "x", label="art")


def test_labels_that_differ_by_case_are_rejected(bench):
    collection = bench.store.create(bench.new_name(), PLANE)
    collection.upsert(
        Record(str(place), at(place), {"label": name})
        for place, name in enumerate(["Hund", "hund", "Hund"])
    )
    with pytest.raises(DatasetError, match="differ only by case"):
        evaluate_collection(collection, "x")


def test_library_and_folder_have_the_same_figures(tmp_path):
    write(tmp_path / "bilder/katze", 6)
    write(tmp_path / "bilder/hund", 6, start=6)
    expected = evaluate(dataset.load(tmp_path / "bilder"), model="classic").measures.metrics
    with imgsearch.open("memory://gemessen", model="classic") as library:
        library.add(tmp_path / "bilder")
        run = evaluate_collection(library.collection, library.url)
    assert run.measures.metrics == pytest.approx(expected)
    assert run.encoder.model == "classic"
