"""Words of the texts beside the vectors, ranked by BM25.

Source: S. Robertson and H. Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np

from imgsearch.backends.words import record_words, words
from imgsearch.errors import LimitExceeded
from imgsearch.types import Record

MOST_RECORDS: Final = 1_000_000  # about 1 GB with 20 words each
MOST_WORDS: Final = 50_000_000  # words of all records, each counted once a record: 300 MB
_K1: Final = 1.2  # the usual values; the source has 1.2 to 2 and 0.75
_B: Final = 0.75


class KeywordIndex:
    """An inverted index of the text fields of records. Immutable after it is built.

    Raises:
        LimitExceeded: there are more than 1,000,000 records or 50,000,000 words.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._ids: list[str] = []
        self._lengths = array("H")
        self._postings: dict[str, tuple[array[int], array[int]]] = {}
        size = 0
        for row, record in enumerate(records):
            tokens = record_words(record.fields)
            self._ids.append(record.id)
            self._lengths.append(len(tokens))
            for token, count in Counter(tokens).items():
                rows, counts = self._postings.setdefault(token, (array("I"), array("H")))
                rows.append(row)
                counts.append(count)
                size += 1
            if row >= MOST_RECORDS or size > MOST_WORDS:
                raise LimitExceeded(
                    f"the collection is too large for a search by words, which takes at most "
                    f"{MOST_RECORDS:,} images with {MOST_WORDS:,} words. Search by vectors."
                )

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._ids)

    def ranked(self, text: str) -> list[tuple[str, float]]:
        """Return the ids of the records with a word of `text`, and their scores, best first.

        >>> index = KeywordIndex([Record("a", None, {"label": "red bus"}), Record("b", None, {})])
        >>> [id_ for id_, _ in index.ranked("A bus!")]
        ['a']
        """
        scores = np.zeros(len(self._ids))
        lengths = np.asarray(self._lengths, dtype=np.float64)
        mean = lengths.mean() if len(lengths) else 0.0
        relative = 1 - _B + _B * lengths / (mean or 1.0)
        for token in dict.fromkeys(words(text)):
            if token not in self._postings:
                continue
            rows, counts = map(np.asarray, self._postings[token])
            rarity = math.log(1 + (len(scores) - len(rows) + 0.5) / (len(rows) + 0.5))
            scores[rows] += rarity * counts * (_K1 + 1) / (counts + _K1 * relative[rows])
        matching = np.flatnonzero(scores)
        best = matching[np.lexsort((matching, -scores[matching]))]
        return [(self._ids[row], float(scores[row])) for row in best]
