"""Texts → sparse features: the words and their parts, hashed. Needs nothing but numpy."""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

BUCKETS: Final = 16_384
_PARTS: Final = (3, 4, 5)  # letters of a part
_LONGEST: Final = 32  # words of a text that count
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Features:
    """Sparse rows, one after the other: `buckets` int64 and `shares` float32, (m,), and `starts`.

    Row i is what lies from ``starts[i]`` to ``starts[i + 1]``; `starts` is int64 (n + 1,). The
    shares of a row sum to 1, those of a text without words to 0.
    """

    buckets: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]


def words(text: str) -> list[str]:
    """Return a text's words in small letters, without accents; at most 32."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return _WORD.findall(bare)[:_LONGEST]


def features(texts: Sequence[str]) -> Features:
    """Return the features of texts: each word weighs the same, and so do its parts within it.

    A word's parts are the word itself and, with marks for its ends, all runs of 3 to 5 letters of
    it, as fastText has them. Source: Bojanowski et al., Enriching Word Vectors with Subword
    Information, Transactions of the ACL 5, 2017.
    """
    buckets: list[int] = []
    shares: list[float] = []
    starts = [0]
    for text in texts:
        found = words(text)
        for word in found:
            own = [bucket(part) for part in parts(word)]
            buckets += own
            shares += [1 / (len(found) * len(own))] * len(own)
        starts.append(len(buckets))
    return Features(
        np.array(buckets, dtype=np.int64),
        np.array(shares, dtype=np.float32),
        np.array(starts, dtype=np.int64),
    )


def parts(word: str) -> list[str]:
    """Return the parts of a word: "<dog>" gives "<dog>", "<do", "dog", "og>", "<dog", "dog>"."""
    marked = f"<{word}>"
    runs = [
        marked[start : start + size]
        for size in _PARTS
        for start in range(len(marked) - size + 1)
        if size < len(marked)
    ]
    return [marked, *runs]


def bucket(part: str) -> int:
    """Return a part's bucket, the same on every machine."""
    return zlib.crc32(part.encode()) % BUCKETS
