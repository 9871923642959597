"""The table of words: sums of rows, unknown words, suggestions, the table in the package."""

import numpy as np
import pytest

from imgsearch.encoders.lite.words import FILE, WordTable
from imgsearch.errors import TextUnknown

ENTRIES = ["dog", "white", "zebra crossing", "kafer"]
ROWS = [[3, 0], [0, 4], [127, 127], [-5, 0]]


@pytest.fixture
def table(tmp_path):
    basis = np.zeros((2, 384), dtype=np.float16)
    basis[0, 0] = basis[1, 383] = 1
    np.savez(
        tmp_path / "words.npz",
        entries=np.frombuffer("\n".join(ENTRIES).encode(), dtype=np.uint8),
        table=np.array(ROWS, dtype=np.int8),
        scales=np.array([1, 1, 0.5, 0.1], dtype=np.float32),
        basis=basis,
    )
    return WordTable(tmp_path / "words.npz")


def test_a_text_is_the_unit_sum_of_its_rows(table):
    # 3 and 4 are the legs of a triangle of 5; a zebra crossing has two equal numbers
    vectors = table.vectors(["a white dog", "Zebra crossings!", "Käfer"])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[:, [0, 383]], [[0.6, 0.8], [0.5**0.5] * 2, [-1, 0]])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_rows(table):
    assert table.vectors([]).shape == (0, 384)


def test_unknown_words_are_listed_once(table):
    assert table.unknown("xyzzy dog, Xyzzy and qwert") == ("xyzzy", "qwert")
    assert table.unknown("a white dog") == ()
    np.testing.assert_array_equal(table.vectors(["xyzzy dog"]), table.vectors(["dog"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("whitte qwertz", "does not know 'whitte', 'qwertz'; did you mean white\\?"),
        ("xyzzy", "does not know 'xyzzy'\\. pip install '\\.\\[sentences\\]'"),
        ("two of the", "'two of the' has no word that describes an image"),
        ("", "'' has no word"),
    ],
)
def test_a_text_without_known_words_raises(table, text, message):
    with pytest.raises(TextUnknown, match=message):
        table.vectors(["dog", text])


@pytest.fixture(scope="module")
def packaged():
    return WordTable()


def test_the_packaged_table_is_small():
    assert FILE.stat().st_size < 3_100_000


def test_the_packaged_table_knows_common_words_and_rare_nouns(packaged):
    assert not packaged.unknown("a capybara beside a brown wooden bench near the bridge")


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("a puppy", "a small dog", "a steam locomotive"),
        ("two people riding horses on the beach", "horseback riders by the sea", "a pizza"),
        ("golden retriever", "a big dog", "a bookcase"),
        ("snowboarder", "a man in the snow", "a kitchen"),
    ],
)
def test_the_packaged_table_puts_related_texts_closer(packaged, text, near, far):
    vectors = packaged.vectors([text, near, far])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


def test_the_packaged_table_ignores_order_and_negation(packaged):
    vectors = packaged.vectors(["two dogs, no cat", "a cat on the dogs"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
