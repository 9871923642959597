"""The text side of `mini`: a row of a table for each word or phrase; a text is their sum."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from imgsearch.encoders.lite.lexicon import Lexicon
from imgsearch.errors import TextUnknown
from imgsearch.types import Matrix

_SHOWN: Final = 5  # unknown words that an error names
_GUESSED: Final = 4  # letters of a word that is worth a guess
_LIKE: Final = 0.82  # of difflib's ratio: how like a suggestion is to the word


class Words:
    """Texts → vectors, by the table in `file`, which the training wrote."""

    def __init__(self, file: Path) -> None:
        with np.load(file, allow_pickle=False) as kept:
            self._entries = kept["entries"].tobytes().decode().split("\n")
            self._table, self._scales = kept["table"], kept["scales"]
        self._lexicon = Lexicon(self._entries)

    def vectors(self, texts: Sequence[str]) -> Matrix:
        """Return float32 (n, dim) of n texts, of any norm; unknown words are passed over.

        Raises:
            TextUnknown: no word of a text is known.
        """
        made = np.empty((len(texts), self._table.shape[1]), dtype=np.float32)
        for place, text in enumerate(texts):
            rows, unknown = self._lexicon.find(text)
            if not rows:
                raise TextUnknown(self._told(text, unknown))
            made[place] = self._scales[rows] @ self._table[rows].astype(np.float32)
        return made

    def unknown(self, text: str) -> tuple[str, ...]:
        """Return the words of a text that are not known, each once."""
        return tuple(dict.fromkeys(self._lexicon.find(text)[1]))

    def _told(self, text: str, unknown: Sequence[str]) -> str:
        if not unknown:
            return f"{text!r} has no word that tells what to look for"
        words = list(dict.fromkeys(unknown))[:_SHOWN]
        near = [self.like(word) for word in words]
        meant = " or ".join(dict.fromkeys(filter(None, near)))
        return f"mini does not know {', '.join(map(repr, words))}" + (
            f"; did you mean {meant}?" if meant else "; `imgsearch models` lists larger models"
        )

    def like(self, word: str) -> str:
        """Return the known word that is most like one, "" if none is."""
        if len(word) < _GUESSED:
            return ""
        near = difflib.get_close_matches(word, self._entries, 1, _LIKE)
        return near[0] if near else ""
