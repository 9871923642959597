"""Finds the rows of a text in a table of words and phrases, in plain Python."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 4
"""The number of words in the longest phrase."""

_MAX_WORDS: Final = 64  # of a text; later words do not count
_WORD: Final = re.compile(r"[^\W_]+")
_MIN_PART: Final = 3  # letters of the shorter half of a compound
_ENDINGS: Final = (
    ("'s", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""), ("men", "man"),
    ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("er", ""), ("er", "e"), ("y", ""),
)  # fmt: skip
"""Endings with their replacements, tried in this order."""

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
without would you your
"""
STOP_WORDS: Final = frozenset((*_STOP_WORDS.split(), "favourite", "favorite"))
"""Words that do not describe an image; they are skipped in texts."""


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without accents; at most 64."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("\u2019", "'"))
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return _WORD.findall(bare)[:_MAX_WORDS]


def is_content_word(word: str) -> bool:
    """Return whether a word is not a stop word, a number or a single letter."""
    return word not in STOP_WORDS and len(word) > 1 and not word.isdigit()


class Lexicon:
    """The words and phrases of a table; entry i belongs to row i.

    Entries are unique, in lower case, with single spaces between their words.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._rows = {entry: row for row, entry in enumerate(entries)}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, entry: str) -> bool:
        return entry in self._rows

    def find(self, text: str) -> tuple[list[int], list[str]]:
        """Return the rows of a text's words and phrases, and its unknown words.

        The longest phrase wins, and its words are not counted again. A word without an entry is
        tried without its ending ("dogs"), then as a compound of two entries ("snowboard").
        """
        rows: list[int] = []
        unknown: list[str] = []
        words = split_words(text)
        while words:
            length, matches = self._first(words)
            rows += matches
            if not matches and is_content_word(words[0]):
                unknown.append(words[0])
            words = words[length:]
        return rows, unknown

    def _first(self, words: list[str]) -> tuple[int, list[int]]:
        """Return the number of words in the first match, and its rows ([] if unknown)."""
        for length in range(min(LONGEST, len(words)), 1, -1):
            phrase = " ".join(words[:length])
            for form in (phrase, *_stems(phrase)):
                if form in self._rows:
                    return length, [self._rows[form]]
        return 1, [] if words[0] in STOP_WORDS else self._word(words[0])

    def _word(self, word: str) -> list[int]:
        for form in (word, *_stems(word)):
            if form in self._rows:
                return [self._rows[form]]
        for cut in range(len(word) - _MIN_PART, _MIN_PART - 1, -1):
            parts = word[:cut], word[cut:]
            if all(part in self._rows and part not in STOP_WORDS for part in parts):
                return [self._rows[part] for part in parts]
        return []


def _stems(word: str) -> list[str]:
    """Return the forms of a word without its ending, most likely first."""
    stems = []
    for ending, replacement in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= _MIN_PART - 1:
            stems.append(stem + replacement)
            if stem[-1:] == stem[-2:-1] and not replacement:  # "running"
                stems.append(stem[:-1])
    return stems
