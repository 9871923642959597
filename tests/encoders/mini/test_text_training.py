"""How the text side of mini is trained: by hand, and a small lesson."""

import importlib.util
import json

import numpy as np
import pytest

from imgsearch.errors import SourceError, WeightsNotFound

if importlib.util.find_spec("torch") is None:
    pytest.skip("mini is trained with the extra torch", allow_module_level=True)

import torch

from imgsearch.encoders.mini.training import texts
from imgsearch.encoders.mini.training.export import rounded, write_texts
from imgsearch.encoders.mini.training.prototypes import (
    Anchors,
    alone,
    class_prototypes,
    prototypes,
    set_prototypes,
)
from imgsearch.encoders.mini.training.sentences import sentence_vectors
from imgsearch.encoders.mini.training.teacher import unit_rows
from imgsearch.encoders.mini.training.text import TextLesson, TextSchedule
from imgsearch.encoders.mini.training.vocabulary import Vocabulary, vocabulary
from imgsearch.encoders.mini.words import Words
from imgsearch.encoders.reduction import Reduction
from tests.encoders.mini import sentences


def test_prototypes_lie_between_the_names_that_are_near():
    names = np.eye(3, dtype=np.float32)
    places = np.eye(3, dtype=np.float32)
    text = unit_rows(np.array([[1.0, 1.0, 0.0]]))
    made = prototypes(text, names, places)
    shares = np.exp(20 * np.array([0.5**0.5, 0.5**0.5, 0]))
    np.testing.assert_allclose(made[0], shares / np.linalg.norm(shares), atol=1e-5)


def test_a_classes_prototype_is_its_weights_without_what_all_share():
    weights = np.array([[3.0, 1, 1], [1, 3, 1], [1, 1, 1]], dtype=np.float32)
    targets = Reduction("pca", np.eye(3, 2, dtype=np.float32), np.zeros(3, np.float32), samples=3)
    made = class_prototypes(weights, targets)
    means = weights.mean(axis=0)
    expected = (weights - means)[:, :2]
    np.testing.assert_allclose(made, expected / np.linalg.norm(expected, axis=1, keepdims=True))


def test_a_sets_prototypes_are_its_means_without_what_all_its_images_share():
    vectors = np.array([[1, 5, 0], [3, 5, 0], [1, 5, 4], [9, 9, 9]], dtype=np.float32)
    names, places = set_prototypes(vectors, ["sea", "sea", "forest", ""])
    middle = np.array([5 / 3, 5, 4 / 3])
    assert names == ["forest", "sea"]
    np.testing.assert_allclose(
        places, unit_rows(np.array([[1, 5, 4] - middle, [2, 5, 0] - middle])), atol=1e-6
    )


def test_each_name_of_a_class_stands_alone():
    found, owners = alone(["tench, Tinca tinca", "Käfer", "a,,b"])
    assert found == ["tench", "Tinca tinca", "Käfer", "a", "b"]
    assert owners.tolist() == [0, 0, 1, 2, 2]


KIN = {
    "dog": [1, 0, 0],
    "hound": [0.9, 0.1, 0],
    "cat": [0, 1, 0],
    "red": [0, 0.3, 1],
    "fog": [0, 0, 1],
}


def of_kin(told):
    return unit_rows(np.array([KIN.get(text, [0.2, 0.2, 1]) for text in told], dtype=np.float32))


@pytest.fixture
def known():
    anchors = Anchors(
        ["dog, hot dog", "cat", "crane", "crane"],
        unit_rows(np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 1]], dtype=np.float32)),
        np.eye(4, dtype=np.float32),
    )
    captions = ["a red dog", "the red cat", "red fog", "fog"]
    return vocabulary(anchors, captions, ["hound", "sea fog", "Zzz", "yyy"], of_kin, size=7)


def test_a_vocabulary_has_names_then_captions_words_then_a_dictionarys(known):
    assert known.entries == ["dog", "hot dog", "cat", "crane", "hot", "red", "hound"]
    np.testing.assert_allclose(known.places[:3], np.eye(4)[[0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(known.places[3], [0, 0, 0.5**0.5, 0.5**0.5], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(known.places, axis=1), 1, atol=1e-6)
    assert known.strengths[:4].tolist() == [1, 1, 1, 1]
    hound = KIN["hound"] / np.linalg.norm(KIN["hound"])
    assert known.strengths[6] == pytest.approx(hound[0])
    np.testing.assert_allclose(known.table()[6], known.places[6] * hound[0], rtol=1e-6)


def test_a_lesson_teaches_sums_and_leaves_names_where_they_are():
    random = np.random.default_rng(3)
    entries = ["retriever", "goldfish", "boat", "red", "teapot", "volcano"]
    vocabulary_ = Vocabulary(
        entries, unit_rows(random.normal(size=(6, 16))), np.full(6, 0.5, np.float32)
    )
    told = ["a red boat", "red teapots", "nothing known"]
    wanted = unit_rows(random.normal(size=(3, 16)))
    lesson = TextLesson(
        vocabulary_, told, wanted, TextSchedule(steps=150, batch=8, rate=0.03, stay=0.0)
    )
    before = (lesson.vectors(told) * wanted).sum(axis=1)
    cosines = list(lesson.run())
    after = (lesson.vectors(told) * wanted).sum(axis=1)
    assert cosines[-1] > cosines[0]
    assert (after[:2] > before[:2] + 0.1).all()
    kept = (lesson.vectors(entries) * vocabulary_.places).sum(axis=1)
    assert kept.min() > 0.7
    assert kept[[0, 1, 5]].min() > 0.999  # they were in no text
    assert not lesson.vectors(["nothing known"]).any()


def test_a_table_is_kept_in_eight_bits(tmp_path):
    table = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    short, scales = rounded(table)
    assert short.dtype == np.int8
    assert np.abs(short).max() == 127
    np.testing.assert_allclose(short * scales[:, None], table, atol=scales.max() / 2)
    write_texts(["dog", "käfer", "hot dog"], table, tmp_path / "text.npz")
    words = Words(tmp_path / "text.npz")
    made = words.vectors(["a hot dog", "two dogs"])
    np.testing.assert_allclose(made, (short * scales[:, None])[[2, 0]], rtol=1e-6)


def test_texts_come_from_files(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("background\ntench, Tinca tinca\n\ngoldfish\n")
    assert texts.class_names(names) == ["tench, Tinca tinca", "goldfish"]
    captions = tmp_path / "captions.json"
    rows = [(1, "A dog."), (1, "One hound"), (2, "a cat"), (2, " A cat "), (3, "A boat")]
    told = {"annotations": [{"image_id": image, "caption": text} for image, text in rows]}
    captions.write_text(json.dumps(told))
    assert texts.captions(captions, []) == ["A boat", "A cat", "A dog.", "One hound", "a cat"]
    barred = tmp_path / "evaluation"
    barred.mkdir()
    (barred / "captions.jsonl").write_text('{"file": "x.jpg", "captions": ["a  DOG", "b"]}\n')
    assert texts.captions(captions, [barred]) == ["A boat", "A cat", "a cat"]
    captions.write_text("[]")
    with pytest.raises(SourceError, match="COCO"):
        texts.captions(captions, [])
    with pytest.raises(SourceError, match="cannot be read"):
        texts.class_names(tmp_path / "none")


def test_sentences_are_the_mean_of_their_tokens(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(WeightsNotFound, match="sentence encoder"):
        sentence_vectors(["x"], tmp_path)
    model, tokenizer = sentences.write(tmp_path)
    made = sentence_vectors(["ein käfer", "hund"], tmp_path)
    for text, vector in zip(["ein käfer", "hund"], made, strict=True):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = states.mean(0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
