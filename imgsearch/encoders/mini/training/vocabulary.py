"""Which words and phrases the text side knows, and where each of them begins."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from imgsearch.encoders.lite.lexicon import LONGEST, is_content_word, split_words
from imgsearch.encoders.mini.training.prototypes import Anchors, alone
from imgsearch.encoders.mini.training.teacher import unit_rows
from imgsearch.types import Matrix

Sentences: TypeAlias = Callable[[Sequence[str]], Matrix]
"""Texts → unit vectors (n, s) of a sentence encoder."""

SIZE: Final = 12_000
_OFTEN: Final = 3  # captions that a word has to be in


@dataclass(frozen=True)
class Vocabulary:
    """Entries of a lexicon, in small letters.

    `places` (n, dim) are their unit vectors among the images, `strengths` (n,) say how much of a
    text each is: 1 for a name, for others the cosine to the nearest name, as sentences.
    """

    entries: list[str]
    places: Matrix
    strengths: npt.NDArray[np.float32]

    def table(self) -> Matrix:
        """Return the rows that a text's words add up to, before anything was learned."""
        return np.asarray(self.places * self.strengths[:, None], dtype=np.float32)


def vocabulary(
    anchors: Anchors,
    captions: Sequence[str],
    dictionary: Sequence[str],
    sentences: Sentences,
    size: int = SIZE,
) -> Vocabulary:
    """Return names, their words, those of captions, and of a dictionary what there is room for.

    Of the dictionary the words go first that are nearest to a name.
    """
    places = _names(anchors)
    strengths = dict.fromkeys(places, 1.0)
    often = Counter(word for caption in captions for word in set(split_words(caption)))
    told = [word for name in places for word in name.split()]
    told += [word for word, count in often.items() if count >= _OFTEN]
    wanted = [told, [entry for text in dictionary if " " not in (entry := normal(text))]]
    for given in wanted:
        new = [
            each for each in dict.fromkeys(given) if each not in places and is_content_word(each)
        ]
        if not new:
            continue
        made = sentences(new)
        nearest = (made @ anchors.sentences.T).max(axis=1)
        order = np.argsort(-nearest, kind="stable")[: max(0, size - len(places))]
        for row, place in zip(order, anchors.near(made[order]), strict=True):
            places[new[row]], strengths[new[row]] = place, float(nearest[row])
    entries = list(places)
    return Vocabulary(
        entries,
        np.stack([places[each] for each in entries]).astype(np.float32),
        np.array([strengths[each] for each in entries], dtype=np.float32),
    )


def normal(text: str) -> str:
    """Return a text as an entry of a lexicon is written."""
    return " ".join(split_words(text))


def _names(anchors: Anchors) -> dict[str, Matrix]:
    """Return the place of each name by itself; one that several classes bear lies between them."""
    texts, owners = alone(anchors.names)
    places: dict[str, Matrix] = {}
    for text, owner in zip(texts, owners, strict=True):
        entry = normal(text.replace("_", " "))
        if 1 <= len(entry.split()) <= LONGEST:
            places[entry] = places.get(entry, 0) + anchors.places[owner]
    return {entry: unit_rows(place[None])[0] for entry, place in places.items()}
