"""The text side of mini: features by hand, and a small lesson."""

import importlib.util

import numpy as np
import pytest

from imgsearch.encoders.mini import words
from imgsearch.errors import WeightsNotFound

if importlib.util.find_spec("torch") is None:
    pytest.skip("mini is trained with the extra torch", allow_module_level=True)

import torch

from imgsearch.encoders.frameworks import frameworks
from imgsearch.encoders.mini.training.prototypes import alone, class_prototypes, prototypes
from imgsearch.encoders.mini.training.sentences import sentence_vectors
from imgsearch.encoders.mini.training.teacher import unit_rows
from imgsearch.encoders.mini.training.text import TextLesson, TextNetwork, picked, tensors
from imgsearch.encoders.reduction import Reduction


def test_words_are_small_and_bare():
    assert words.words("A White DOG's tail, déjà-vu_2 Straße!") == [
        "a", "white", "dog", "s", "tail", "deja", "vu", "2", "strasse",
    ]  # fmt: skip
    assert words.words("犬 собака") == ["犬", "собака"]
    assert words.words(" …!") == []
    assert len(words.words("dog " * 99)) == 32


def test_a_words_parts_by_hand():
    assert words.parts("dog") == ["<dog>", "<do", "dog", "og>", "<dog", "dog>"]
    assert words.parts("a") == ["<a>"]
    assert words.bucket("123456789") == 0xCBF43926 % 16_384  # the check value of CRC-32


def test_words_share_a_text_and_parts_a_word():
    made = words.features(["a dog", "", "dog dog"])
    assert made.starts.tolist() == [0, 7, 7, 19]
    np.testing.assert_allclose(made.shares[:7], [1 / 2] + [1 / 12] * 6)
    assert made.buckets[1:7].tolist() == [words.bucket(part) for part in words.parts("dog")]
    sums = [
        made.shares[start:end].sum()
        for start, end in zip(made.starts, made.starts[1:], strict=False)
    ]
    np.testing.assert_allclose(sums, [1, 0, 1], atol=1e-6)


def test_rows_are_picked_in_the_order_asked_for():
    made = words.features(["ein Käfer", "zwei", "drei rote Hunde"])
    again = picked(made, np.array([2, 0, 2]))
    expected = words.features(["drei rote Hunde", "ein Käfer", "drei rote Hunde"])
    for name in ("buckets", "shares", "starts"):
        np.testing.assert_array_equal(getattr(again, name), getattr(expected, name))


def test_a_text_is_the_mean_of_its_words_before_the_layers():
    network = TextNetwork(8).eval()
    with torch.no_grad():
        both, one, other = (
            network.table(starts_of[0], starts_of[2], per_sample_weights=starts_of[1])
            for starts_of in (tensors(words.features([text])) for text in ("dog cat", "dog", "cat"))
        )
    np.testing.assert_allclose(both.numpy(), (one + other).numpy() / 2, atol=1e-6)


def test_a_lesson_is_learned_and_carries_over_to_kin():
    random = np.random.default_rng(3)
    names = ["retriever", "goldfish", "sailing boat", "Käfer", "teapot", "volcano"]
    wanted = unit_rows(random.normal(size=(6, 16)))
    lesson = TextLesson(names, wanted, np.ones(6), steps=60, batch=12)
    cosines = list(lesson.run())
    assert cosines[-1] > 0.95 > cosines[0]
    made = lesson.vectors(["retrievers", "a kafer", "boat"]) @ wanted.T
    assert made.argmax(axis=1).tolist() == [0, 3, 2]


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


def test_each_name_of_a_class_stands_alone():
    texts, owners = alone(["tench, Tinca tinca", "Käfer", "a,,b"])
    assert texts == ["tench", "Tinca tinca", "Käfer", "a", "b"]
    assert owners.tolist() == [0, 0, 1, 2, 2]


def test_sentences_are_the_mean_of_their_tokens(tmp_path):
    frameworks()
    transformers = pytest.importorskip("transformers")
    with pytest.raises(WeightsNotFound, match="sentence encoder"):
        sentence_vectors(["x"], tmp_path)
    torch.manual_seed(2)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ein", "käfer", "hund"]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = transformers.BertTokenizer(str(tmp_path / "vocab.txt"), strip_accents=False)
    tokenizer.save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=80,
    )  # fmt: skip
    model = transformers.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    made = sentence_vectors(["ein käfer", "hund"], tmp_path)
    for text, vector in zip(["ein käfer", "hund"], made, strict=True):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = states.mean(0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
