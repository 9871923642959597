"""Text vectors by a table of words and phrases, with numpy only."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from typing_extensions import override

from imgsearch.distribution import install_hint
from imgsearch.encoders.base import unit
from imgsearch.encoders.lite.lexicon import Lexicon
from imgsearch.encoders.lite.text_encoder import TextEncoder
from imgsearch.errors import TextUnknown
from imgsearch.types import Matrix

FILE: Final = Path(__file__).parent / "words.npz"
_NAMED_WORDS: Final = 5  # unknown words in an error message
_MIN_GUESS: Final = 4  # letters; shorter words are similar to too many others
_MIN_RATIO: Final = 0.82  # difflib's similarity of a word and its suggestion


class WordTable(TextEncoder):
    """Sums the rows of a text's words. Word order and stop words have no effect.

    `file` is an npz from ``tools/lite/words.py``. It has the words and phrases, `entries`; their
    rows, `table` int8 (n, r) and `scales` float32 (n,); and `basis` float16 (r, 384), which
    converts a sum of rows to a vector in the space of the sentence model.
    """

    def __init__(self, file: Path = FILE) -> None:
        with np.load(file, allow_pickle=False) as arrays:
            self._entries = arrays["entries"].tobytes().decode().split("\n")
            self._table, self._scales = arrays["table"], arrays["scales"]
            self._basis = arrays["basis"].astype(np.float32)
        self._lexicon = Lexicon(self._entries)

    @override
    def vectors(self, texts: Sequence[str]) -> Matrix:
        sums = np.empty((len(texts), self._table.shape[1]), dtype=np.float32)
        for index, text in enumerate(texts):
            rows, unknown = self._lexicon.find(text)
            if not rows:
                raise TextUnknown(self._message(text, unknown))
            sums[index] = self._scales[rows] @ self._table[rows].astype(np.float32)
        return unit(sums @ self._basis)

    @override
    def unknown(self, text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._lexicon.find(text)[1]))

    def knows(self, text: str) -> bool:
        """Return whether a text has a known word, and so a vector."""
        return bool(self._lexicon.find(text)[0])

    def suggest(self, word: str) -> str:
        """Return the entry with the most similar spelling, or "" without a close one."""
        if len(word) < _MIN_GUESS:
            return ""
        near = difflib.get_close_matches(word, self._entries, 1, _MIN_RATIO)
        return near[0] if near else ""

    def _message(self, text: str, unknown: Sequence[str]) -> str:
        if not unknown:
            return f"{text!r} has no word that describes an image. Name what the image shows."
        words = list(dict.fromkeys(unknown))[:_NAMED_WORDS]
        suggestions = dict.fromkeys(filter(None, map(self.suggest, words)))
        hint = f"; did you mean {' or '.join(suggestions)}?" if suggestions else "."
        return (
            f"the word table does not know {', '.join(map(repr, words))}{hint} "
            f"{install_hint('sentences')} installs a model for any English text."
        )
