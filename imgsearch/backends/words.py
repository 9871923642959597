"""The words of texts, as searches by words compare them."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from imgsearch.types import Value

LONGEST: Final = 2_000  # words of one record; further ones are not compared
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
# scripts without spaces between words: kana, Chinese characters, Thai
_UNSPACED: Final = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")


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


def record_words(fields: Mapping[str, Value]) -> list[str]:
    """Return the words of a record's text fields, the first 2,000 of them."""
    texts = (value for value in fields.values() if isinstance(value, str))
    return list(islice((word for text in texts for word in words(text)), LONGEST))


def _stem(word: str) -> Iterator[str]:
    if word:
        plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
        yield word[:-1] if plural else word
