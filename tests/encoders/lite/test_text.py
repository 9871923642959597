"""The text side: weights of ImageNet's classes, by the model that is installed."""

import logging

import numpy as np
import pytest
from typing_extensions import override

from imgsearch.encoders.lite import text as text_side
from imgsearch.encoders.lite.lexicon import Lexicon, split_words
from imgsearch.encoders.lite.sentences import SentenceModel
from imgsearch.encoders.lite.text import TextSide, class_names
from imgsearch.encoders.lite.text_encoder import TextEncoder
from imgsearch.encoders.lite.words import WordTable

NAMES = class_names()


class FixedVectors(TextEncoder):
    """Returns its fixed vectors for all texts."""

    def __init__(self, rows):
        self._rows = np.asarray(rows, dtype=np.float32)

    @override
    def vectors(self, texts):
        return self._rows[: len(texts)]

    @override
    def unknown(self, text):
        return tuple(text.split())


@pytest.fixture(scope="module")
def side():
    return TextSide(WordTable())


def test_class_vectors_are_unit_rows_in_the_order_of_the_names():
    classes = np.load(text_side.CLASSES)
    assert classes.shape == (1000, 384)
    np.testing.assert_allclose(np.linalg.norm(classes.astype(np.float32), axis=1), 1, atol=2e-3)
    assert len(NAMES) == 1000
    assert (NAMES[0], NAMES[1], NAMES[999]) == (
        "tench, Tinca tinca",
        "goldfish, Carassius auratus",
        "toilet tissue, toilet paper, bathroom tissue",
    )


def test_class_weights_are_the_ridge_regression_of_the_class_names():
    classes = np.load(text_side.CLASSES).astype(np.float32)
    query = np.stack([classes[3], (classes[3] + classes[500]) / 2])
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    weights = TextSide(FixedVectors(query)).classes(["anything", "else"])
    assert weights.shape == (2, 1000)
    assert weights.dtype == np.float32
    # by hand: the weights solve w (K + 1 I) = k, with kernels e^(8 (cosine - 1))
    similar = np.exp(8 * (classes @ classes.T - 1)) + np.eye(1000)
    np.testing.assert_allclose(weights @ similar, np.exp(8 * (query @ classes.T - 1)), atol=1e-4)


def test_a_class_counts_less_for_each_class_of_nearly_the_same_name(monkeypatch, tmp_path):
    # three orthogonal names: one has a class, one has two classes, the third stands for a text
    classes = np.zeros((3, 384), dtype=np.float16)
    classes[0, 0] = classes[1, 1] = classes[2, 1] = 1
    np.save(tmp_path / "classes.npy", classes)
    monkeypatch.setattr(text_side, "CLASSES", tmp_path / "classes.npy")
    query = (classes[0] + classes[1]).astype(np.float32) / np.sqrt(2)
    (weights,) = TextSide(FixedVectors([query])).classes(["anything"])
    # by hand, without the kernel of orthogonal names, e^-8: k / (1 + 1) and k / (2 + 1) for each
    # of the two, k = e^(8 (0.7071 - 1)) = 0.0960
    np.testing.assert_allclose(weights, [0.0480, 0.0320, 0.0320], atol=2e-4)


def test_class_name_has_the_greatest_weight_on_its_own_class(side):
    weights = side.classes([name.split(",")[0] for name in NAMES])
    first = weights.argmax(axis=1) == np.arange(1000)
    assert first.mean() > 0.9


def test_word_table_knows_every_class_name():
    table = WordTable()
    lemmas = [lemma for name in NAMES for lemma in name.split(",")]
    unknown = {lemma for lemma in lemmas if table.unknown(lemma)}
    assert not unknown


def test_no_texts_give_no_weights(side):
    assert side.classes([]).shape == (0, 1000)


def test_unknown_words_come_from_the_text_encoder(side):
    assert side.unknown("dog xyzzy") == ("xyzzy",)
    assert TextSide(FixedVectors([])).unknown("ein käfer") == ("ein", "käfer")


@pytest.mark.parametrize(
    ("installed", "message"),
    [(True, "encoded by all-MiniLM-L6-v2"), (False, "encoded by a table of words")],
)
def test_text_encoder_is_chosen_once_and_logged_once(monkeypatch, caplog, installed, message):
    monkeypatch.setattr(SentenceModel, "is_installed", staticmethod(lambda: installed))
    caplog.set_level(logging.INFO, logger="imgsearch.encoders.lite.text")
    side = TextSide()
    assert not caplog.records
    side.classes(["dog"])
    side.classes(["cat"])
    assert [record.getMessage() for record in caplog.records if message in record.getMessage()]
    assert len(caplog.records) == 1


def test_entries_of_the_table_match_the_splitting_of_texts():
    table = WordTable()
    entries = table._entries
    assert len(entries) == len(set(entries)) == len(Lexicon(entries))
    assert all(" ".join(split_words(entry)) == entry for entry in entries)
