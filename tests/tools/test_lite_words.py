"""The tool that fits the table of words: texts, fit and output."""

import json

import numpy as np
import pytest

from imgsearch.encoders.lite.lexicon import Lexicon
from imgsearch.encoders.lite.words import WordTable
from tools.lite import words as tool


@pytest.fixture
def captions(tmp_path):
    rows = [(1, "A dog."), (1, "Ein Hund"), (2, "a  CAT"), (2, "the cat"), (3, "a käfer")]
    annotations = [{"image_id": image, "caption": caption} for image, caption in rows]
    file = tmp_path / "captions.json"
    file.write_text(json.dumps({"annotations": annotations}), encoding="utf-8")
    return file


def test_evaluation_images_are_excluded(captions, tmp_path):
    exclude = tmp_path / "exclude.jsonl"
    rows = [
        {"file": "images/0003.jpg", "captions": ["x"]},
        {"file": "7.jpg", "captions": ["A cat."]},
    ]
    exclude.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    # 3 by its number, 2 by a caption that differs only in case, spaces and the full stop
    assert tool.captions_by_image(captions, exclude) == {1: ["A dog.", "Ein Hund"]}


def test_vocabulary_has_names_frequent_words_and_nouns():
    lemmas = ["tench, Tinca tinca", "great white shark", "a very long name of five"]
    captions = ["a dog on two sofas", "dog, dog", "Dog", "sofas", "a rare dog"]
    nouns = ["Capybara", "dogs", "hot dog", "", "known"]
    assert tool.vocabulary(["known"], lemmas, captions, nouns) == [
        "known", "tench", "tinca tinca", "great white shark", "dog",
        "tinca", "great", "white", "shark", "long", "name", "five", "capybara",
    ]  # fmt: skip


def test_class_lemmas_are_in_the_order_of_the_classifier():
    lemmas, synsets = tool.synset_lemmas(), tool.class_synsets()
    assert len(synsets) == 1000
    assert lemmas[synsets[0]] == "tench, Tinca tinca"
    assert lemmas[synsets[207]] == "golden retriever"


def test_made_up_sentences_contain_their_entries_and_are_reproducible():
    entries = ["tench", "polar bear"]
    sentences = tool.made_up(entries, ["a dog"], np.random.default_rng(3))
    assert all(entry in sentence for entry, sentence in zip(entries, sentences, strict=True))
    assert sentences == tool.made_up(entries, ["a dog"], np.random.default_rng(3))


def test_directions_keep_the_span_of_the_targets():
    # all targets lie in the plane of the second and the last number
    targets = np.zeros((3, 384), dtype=np.float32)
    targets[:, 1], targets[:, 383] = [1, 0.6, 0], [0, 0.8, 1]
    basis = tool.directions(targets, 2)
    np.testing.assert_allclose(targets @ basis.T @ basis, targets, atol=1e-6)


def test_fit_points_sums_at_their_targets():
    # "white" has no direction by itself, but a white dog differs from a dog
    own = np.eye(3, dtype=np.float32)
    lexicon = Lexicon(["dog", "white", "cat"])
    texts = ["a white dog", "dog", "nothing that is known"]
    targets = np.float32([[0.8, 0, 0.6], [1, 0, 0], [0, 1, 0]])
    how = tool.Fit(rank=3, rounds=8, steps=8, alone=0, stay=0.001)
    table = tool.fit(lexicon, own, texts, targets, how)
    summed = table[0] + table[1]
    np.testing.assert_allclose(summed / np.linalg.norm(summed), [0.8, 0, 0.6], atol=0.02)
    np.testing.assert_allclose(table[2], [0, 0, 1], atol=1e-6)


def test_saved_table_is_read_to_the_nearest_step(tmp_path):
    table = np.float32([[1, -0.5], [0.004, 0.001]])
    basis = np.zeros((2, 384), dtype=np.float32)
    basis[0, 0] = basis[1, 1] = 1
    tool.save(tmp_path / "words.npz", ["hund", "kafer"], table, basis)
    vectors = WordTable(tmp_path / "words.npz").vectors(["Hund", "Käfer"])[:, :2]
    expected = table / np.linalg.norm(table, axis=1, keepdims=True)
    # a step is 1/127 of a row's largest number
    np.testing.assert_allclose(vectors, expected, atol=1 / 127)
