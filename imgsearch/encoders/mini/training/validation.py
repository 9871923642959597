"""How well the network does on training images that it was not shown."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.types import Matrix

HELD: Final = 4_000
K: Final = 10


def held_out(labels: Sequence[str], seed: int, count: int = HELD) -> npt.NDArray[np.int64]:
    """Return rows to hold out: `count` of those that have a label, at most a tenth of them."""
    labelled = np.array([row for row, label in enumerate(labels) if label], dtype=np.int64)
    count = min(count, len(labelled) // 10)
    return np.sort(np.random.default_rng(seed).permutation(labelled)[:count])


def precision_at_10(vectors: Matrix, labels: Sequence[str]) -> float:
    """Return the mean share of the 10 nearest others that have a row's own label, in [0, 1].

    `vectors` are unit, (n, d); exact, by cosine.
    """
    known = np.array(labels)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    k = min(K, len(known) - 1)
    nearest = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return float((known[nearest] == known[:, None]).mean())
