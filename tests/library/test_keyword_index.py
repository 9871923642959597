"""Words of texts and their ranking by BM25, with values worked by hand."""

import math
import tracemalloc

import pytest

from imgsearch.errors import LimitExceeded
from imgsearch.library import keyword_index
from imgsearch.library.keyword_index import KeywordIndex, words
from imgsearch.types import Record


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Red buses", ["red", "buse"]),
        ("glass cats", ["glass", "cat"]),
        ("IMG_2019-05.JPG", ["img", "2019", "05", "jpg"]),
        ("/fotos/Käse/a1b.png", ["foto", "käse", "a", "1", "b", "png"]),
        ("cafe\u0301", ["café"]),
        ("Straße", ["strasse"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー", "東京", "京タ", "タワ", "ワー"]),
        ("red東京", ["red", "東", "京", "東京"]),
        ("", []),
        ("?!_ \0", []),
    ],
)
def test_text_is_split_into_words(text, tokens):
    assert list(words(text)) == tokens


def test_scores_by_hand():
    index = KeywordIndex(
        [
            Record("a", None, {"label": "red bus", "n": 3}),
            Record("b", None, {"label": "red red car"}),
            Record("c", None, {"label": "tree"}),
        ]
    )
    # mean length 2; "red" is in 2 of 3 records: ln(1 + 1.5 / 2.5); "bus" in 1: ln(1 + 2.5 / 1.5)
    red, bus = math.log(1.6), math.log(1 + 2.5 / 1.5)
    one = 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 2))
    two = 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2))
    ranked = index.ranked("Red bus")
    assert [id_ for id_, _ in ranked] == ["a", "b"]
    assert [score for _, score in ranked] == pytest.approx([red * one + bus * one, red * two])
    assert index.ranked("nothing") == index.ranked("") == []
    assert KeywordIndex([]).ranked("red") == []


def test_words_and_records_are_limited(monkeypatch):
    long = KeywordIndex([Record("a", None, {"text": "w " * 5_000 + "last"})])
    assert long.ranked("last") == []
    monkeypatch.setattr(keyword_index, "MOST_RECORDS", 3)
    with pytest.raises(LimitExceeded, match="too large"):
        KeywordIndex(Record(str(n), None, {}) for n in range(5))


def test_index_takes_little_memory():
    records = (
        Record(f"{n:064x}", None, {"path": f"/fotos/{n % 50}/IMG_{n}.jpg", "label": f"w{n % 99}"})
        for n in range(4_000)
    )
    tracemalloc.start()
    index = KeywordIndex(records)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(index) == 4_000
    assert size < 4_000 * 800  # bytes: an id, and a list for each number
