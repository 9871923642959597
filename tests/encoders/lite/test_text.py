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


def test_class_weights_are_the_softmax_of_ten_times_the_cosines():
    classes = np.load(text_side.CLASSES).astype(np.float32)
    query = classes[3] / np.linalg.norm(classes[3])
    weights = TextSide(FixedVectors([query])).classes(["anything"])
    assert weights.shape == (1, 1000)
    assert weights.dtype == np.float32
    # by hand: the share of a class relative to another is e^(10 times the difference of cosines)
    ratio = np.exp(10 * (query @ classes[3] - query @ classes[500]))
    np.testing.assert_allclose(weights[0, 3] / weights[0, 500], ratio, rtol=1e-4)
    assert weights.sum() == pytest.approx(1, abs=1e-5)


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
