"""The text side: vectors of texts, by the model that is installed."""

import logging

import numpy as np
import pytest
from typing_extensions import override

from imgsearch.encoders import registry
from imgsearch.encoders.base import unit
from imgsearch.encoders.lite import text as text_side
from imgsearch.encoders.lite.encoder import projected_directions, targets_file
from imgsearch.encoders.lite.lexicon import Lexicon, split_words
from imgsearch.encoders.lite.sentences import SentenceModel
from imgsearch.encoders.lite.text import TextSide, class_names, class_weights
from imgsearch.encoders.lite.text_encoder import TextEncoder
from imgsearch.encoders.lite.words import WordTable

NAMES = class_names()
ROW = registry.described()["lite"]


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
    return TextSide(targets_file(ROW), WordTable())


@pytest.fixture(scope="module")
def classes():
    return np.load(text_side.CLASSES).astype(np.float32)


def test_class_vectors_are_unit_rows_in_the_order_of_the_names(classes):
    assert classes.shape == (1000, 384)
    np.testing.assert_allclose(np.linalg.norm(classes, axis=1), 1, atol=2e-3)
    assert len(NAMES) == 1000
    assert (NAMES[0], NAMES[1], NAMES[999]) == (
        "tench, Tinca tinca",
        "goldfish, Carassius auratus",
        "toilet tissue, toilet paper, bathroom tissue",
    )


def test_class_weights_are_the_ridge_regression_of_the_class_names(classes):
    query = unit(np.stack([classes[3], (classes[3] + classes[500]) / 2]))
    weights = class_weights(query, classes)
    assert weights.shape == (2, 1000)
    assert weights.dtype == np.float32
    # by hand: the weights solve w (K + 1 I) = k, with kernels e^(8 (cosine - 1))
    similar = np.exp(8 * (classes @ classes.T - 1)) + np.eye(1000)
    np.testing.assert_allclose(weights @ similar, np.exp(8 * (query @ classes.T - 1)), atol=1e-4)


def test_a_class_counts_less_for_each_class_of_nearly_the_same_name():
    # three orthogonal names: one has a class, one has two classes, the third stands for a text
    names = np.zeros((3, 384), dtype=np.float32)
    names[0, 0] = names[1, 1] = names[2, 1] = 1
    (weights,) = class_weights(unit([names[0] + names[1]]), names)
    # by hand, without the kernel of orthogonal names, e^-8: k / (1 + 1) and k / (2 + 1) for each
    # of the two, k = e^(8 (0.7071 - 1)) = 0.0960
    np.testing.assert_allclose(weights, [0.0480, 0.0320, 0.0320], atol=2e-4)


def test_class_name_has_the_greatest_weight_on_its_own_class(classes):
    weights = class_weights(WordTable().vectors([name.split(",")[0] for name in NAMES]), classes)
    first = weights.argmax(axis=1) == np.arange(1000)
    assert first.mean() > 0.9


@pytest.mark.parametrize("name", ["lite", "lite2"])
def test_stored_targets_give_the_vectors_of_the_direct_computation(name, classes):
    row = registry.described()[name]
    texts = [*NAMES[::7], "a dog in the snow", "two people ride bicycles"]
    direct = class_weights(WordTable().vectors(texts), classes) @ projected_directions(
        row, row.weights_file.locate()
    )
    stored = TextSide(targets_file(row), WordTable()).features(texts)
    # float16 rounds each of the 1,000 summed rows by 2^-11 of its numbers at most
    np.testing.assert_allclose(unit(stored), unit(direct), atol=2e-4)


def test_word_table_knows_every_class_name():
    table = WordTable()
    lemmas = [lemma for name in NAMES for lemma in name.split(",")]
    unknown = {lemma for lemma in lemmas if table.unknown(lemma)}
    assert not unknown


def test_no_texts_give_no_vectors(side):
    assert side.features([]).shape == (0, 384)


def test_unknown_words_come_from_the_text_encoder(side):
    assert side.unknown("dog xyzzy") == ("xyzzy",)
    assert TextSide(targets_file(ROW), FixedVectors([])).unknown("ein käfer") == ("ein", "käfer")


@pytest.mark.parametrize(
    ("installed", "message"),
    [(True, "encoded by all-MiniLM-L6-v2"), (False, "encoded by a table of words")],
)
def test_text_encoder_is_chosen_once_and_logged_once(monkeypatch, caplog, installed, message):
    monkeypatch.setattr(SentenceModel, "is_installed", staticmethod(lambda: installed))
    caplog.set_level(logging.INFO, logger="imgsearch.encoders.lite.text")
    side = TextSide(targets_file(ROW))
    assert not caplog.records
    side.features(["dog"])
    side.features(["cat"])
    assert [record.getMessage() for record in caplog.records if message in record.getMessage()]
    assert len(caplog.records) == 1


def test_entries_of_the_table_match_the_splitting_of_texts():
    table = WordTable()
    entries = table._entries
    assert len(entries) == len(set(entries)) == len(Lexicon(entries))
    assert all(" ".join(split_words(entry)) == entry for entry in entries)
