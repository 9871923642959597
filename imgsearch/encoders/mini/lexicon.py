"""Texts → rows of a table: the words and phrases that `mini` knows. Needs nothing but Python."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 4
"""Words of the longest phrase."""

_WORDS: Final = 64  # of a text that count
_WORD: Final = re.compile(r"[^\W_]+")
_LETTERS: Final = 3  # of the shorter part of a compound
_ENDINGS: Final = (
    ("'s", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""), ("men", "man"),
    ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("er", ""), ("er", "e"), ("y", ""),
)  # fmt: skip

_STOP_WORDS: Final = """
a about above across after all along also am among an and another any are around as at away be
been before behind being below beside between both but by can close could did different do does
down during each every few find for from front get give gets getting good had has have he her here
hers him his how i if image images in inside into is it its just kind kinds like look looking
looks lot lots made many me more most much my near nearby next nice no not of off on one ones only
onto or other others our out outside over own photo photograph photographs photos picture pictured
pictures please really same search see seen several shot show showing shown shows side sides sit
sits sitting so some something stand standing stands such than that the their them themselves then
there these they thing things this those three through to together too toward towards two type
under up us use used very view was we were what when where which while who whose will with within
without would you your favourite favorite
"""
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())
"""Words that tell nothing of what a picture shows; they are passed over."""


def words(text: str) -> list[str]:
    """Return a text's words in small letters, without accents; at most 64."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("\u2019", "'"))
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return _WORD.findall(bare)[:_WORDS]


def tells(word: str) -> bool:
    """Tell if a word may say what a picture shows: no stop word, no number, no single letter."""
    return word not in STOP_WORDS and len(word) > 1 and not word.isdigit()


class Lexicon:
    """Words and phrases, each a row of a table: row i is that of the i-th entry.

    Entries are in small letters, their words apart by single spaces, and none comes twice.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._rows = {entry: row for row, entry in enumerate(entries)}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, entry: str) -> bool:
        return entry in self._rows

    def find(self, text: str) -> tuple[list[int], list[str]]:
        """Return the rows of a text's words, and the words that are not known.

        The longest phrase goes first, and its words do not count again. A word that is no entry is
        looked for without its ending, as "dogs", and as two words in one, as "snowboard".
        """
        rows: list[int] = []
        unknown: list[str] = []
        left = words(text)
        while left:
            size, found = self._first(left)
            rows += found
            if not found and tells(left[0]):
                unknown.append(left[0])
            left = left[size:]
        return rows, unknown

    def _first(self, left: list[str]) -> tuple[int, list[int]]:
        """Return how many words the first entry takes, and its rows, none where it is unknown."""
        for size in range(min(LONGEST, len(left)), 1, -1):
            phrase = " ".join(left[:size])
            for form in (phrase, *_bare(phrase)):
                if form in self._rows:
                    return size, [self._rows[form]]
        return 1, [] if left[0] in STOP_WORDS else self._word(left[0])

    def _word(self, word: str) -> list[int]:
        for form in (word, *_bare(word)):
            if form in self._rows:
                return [self._rows[form]]
        for cut in range(len(word) - _LETTERS, _LETTERS - 1, -1):
            parts = word[:cut], word[cut:]
            if all(part in self._rows and part not in STOP_WORDS for part in parts):
                return [self._rows[part] for part in parts]
        return []


def _bare(word: str) -> list[str]:
    """Return what a word may be without its ending, the likeliest first."""
    made = []
    for ending, instead in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= _LETTERS - 1:
            made.append(stem + instead)
            if stem[-1:] == stem[-2:-1] and not instead:  # "running"
                made.append(stem[:-1])
    return made
