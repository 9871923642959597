"""Words of the texts beside the vectors, ranked by BM25.

Source: S. Robertson and H. Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
"""

import math
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from imgsearch.errors import LimitExceeded
from imgsearch.types import Record

MOST_RECORDS: Final = 1_000_000  # about 1 GB with 20 words each
MOST_WORDS: Final = 50_000_000  # words of all records, each counted once a record: 300 MB
_LONGEST: Final = 2_000  # words of one record; further ones are not indexed
_K1: Final = 1.2  # the usual values; the source has 1.2 to 2 and 0.75
_B: Final = 0.75
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
# scripts without spaces between words: kana, Chinese characters, Thai
_UNSPACED: Final = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")


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
            texts = (value for value in record.fields.values() if isinstance(value, str))
            tokens = [token for text in texts for token in words(text)][:_LONGEST]
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
        relative = 1 - _B + _B * lengths / (lengths.mean() or 1.0) if len(lengths) else lengths
        for token in dict.fromkeys(words(text)):
            if token not in self._postings:
                continue
            rows, counts = map(np.asarray, self._postings[token])
            rarity = math.log(1 + (len(scores) - len(rows) + 0.5) / (len(rows) + 0.5))
            scores[rows] += rarity * counts * (_K1 + 1) / (counts + _K1 * relative[rows])
        matching = np.flatnonzero(scores)
        best = matching[np.lexsort((matching, -scores[matching]))]
        return [(self._ids[row], float(scores[row])) for row in best]


def words(text: str) -> Iterator[str]:
    """Yield the words of a text in lower case, and without a plural s.

    Digits and letters are separate words. Text in a script without spaces gives its characters, and
    their pairs.

    >>> list(words("IMG_2019 Red buses, 東京"))
    ['img', '2019', 'red', 'buse', '東', '京', '東京']
    """
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        at = 0
        for run in _UNSPACED.finditer(word):
            yield from _stem(word[at : run.start()])
            characters = run[0]
            yield from characters
            yield from (characters[i : i + 2] for i in range(len(characters) - 1))
            at = run.end()
        yield from _stem(word[at:])


def _stem(word: str) -> Iterator[str]:
    if word:
        plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
        yield word[:-1] if plural else word
