"""Texts are converted to rows of a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from imgsearch.encoders.lite.lexicon import STOP_WORDS, Lexicon, split_words

ENTRIES = [
    "dog", "white", "polar bear", "bear", "snow", "board", "run", "puppy", "leaf", "woman",
    "t shirt", "bouvier des flandres", "hot dog", "bake", "cap and gown",
]  # fmt: skip


def matches(text):
    rows, unknown = Lexicon(ENTRIES).find(text)
    return [ENTRIES[row] for row in rows], unknown


def test_words_are_in_lower_case_without_accents():
    assert split_words("A White DOG’s tail, déjà-vu_2 Straße!") == [
        "a", "white", "dog", "s", "tail", "deja", "vu", "2", "strasse",
    ]  # fmt: skip
    assert split_words("犬 собака") == ["犬", "собака"]
    assert split_words(" …!") == []
    assert len(split_words("dog " * 99)) == 64


@pytest.mark.parametrize(
    ("text", "entries", "unknown"),
    [
        ("a white dog", ["white", "dog"], []),
        ("my photo of the Polar Bear", ["polar bear"], []),
        ("polar bears", ["polar bear"], []),
        ("a bear, polar", ["bear"], ["polar"]),
        ("hot dog dog", ["hot dog", "dog"], []),
        ("cap and gown", ["cap and gown"], []),
        ("Bouvier-des-Flandres!", ["bouvier des flandres"], []),
        ("puppies running", ["puppy", "run"], []),
        ("leaves, women; a baked T-Shirt", ["leaf", "woman", "bake", "t shirt"], []),
        ("snowboard", ["snow", "board"], []),
        ("xyzzy dog xyzzy", ["dog"], ["xyzzy", "xyzzy"]),
        ("the of a 7 1234", [], []),
        ("犬", [], []),
        ("", [], []),
        ("собака", [], ["собака"]),
    ],
)
def test_find_returns_rows_and_unknown_words(text, entries, unknown):
    assert matches(text) == (entries, unknown)


@given(some.text(max_size=80))
def test_find_accepts_any_text(text):
    rows, unknown = Lexicon(ENTRIES).find(text)
    assert all(0 <= row < len(ENTRIES) for row in rows)
    assert not set(unknown) & STOP_WORDS
    assert len(rows) <= 2 * len(split_words(text))


def test_every_entry_finds_its_own_row():
    lexicon = Lexicon(ENTRIES)
    assert len(lexicon) == len(ENTRIES)
    assert [lexicon.find(entry) for entry in ENTRIES] == [
        ([row], []) for row in range(len(ENTRIES))
    ]
    assert "dog" in lexicon
    assert "cat" not in lexicon
