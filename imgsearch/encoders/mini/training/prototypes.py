"""Where texts lie in the images' space: names of classes, and texts that are near to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.encoders.mini.training.teacher import unit_rows
from imgsearch.encoders.reduction import Reduction
from imgsearch.types import Matrix

SHARPNESS: Final = 20.0
"""Of 10, 20 and 30 the one by which names that were left out found best; see the model card."""


@dataclass(frozen=True)
class Anchors:
    """Names whose place among the images is known, as "tench, Tinca tinca".

    `sentences` (n, s) are a sentence encoder's unit vectors of the names, `places` (n, dim) unit
    vectors among the images.
    """

    names: Sequence[str]
    sentences: Matrix
    places: Matrix

    def near(self, sentences: Matrix) -> Matrix:
        """Return the places of other texts, by their sentence vectors."""
        return prototypes(sentences, self.sentences, self.places)


def class_prototypes(weights: npt.NDArray[np.float32], targets: Reduction) -> Matrix:
    """Return a unit vector for each of a classifier's classes, (c, dim), from its weights (c, d).

    The rows of a linear classifier point to where its classes lie among the features that it reads;
    what all of them have in common is taken off first.
    """
    apart = np.asarray(weights, dtype=np.float32) - weights.mean(axis=0)
    return unit_rows(apart @ targets.matrix)


def set_prototypes(vectors: Matrix, labels: Sequence[str]) -> tuple[list[str], Matrix]:
    """Return the labels of a set, sorted, and a unit vector for each, (labels, dim).

    That is the mean of its images' `vectors` (n, dim), less the set's own mean, which holds what
    all its images share, as being small. Images without a label ("") do not count.
    """
    known = np.array(labels)
    names = sorted(set(labels) - {""})
    middle = vectors[known != ""].mean(axis=0)
    means = [vectors[known == name].mean(axis=0) - middle for name in names]
    return names, unit_rows(np.stack(means))


def prototypes(texts: Matrix, names: Matrix, of_names: Matrix) -> Matrix:
    """Return unit vectors of texts in the images' space, by how near their sentences are to names.

    `texts` (n, s) and `names` (c, s) are unit vectors of a sentence encoder, `of_names` (c, dim)
    the names' prototypes: a mean of these, weighted by the softmax of 20 times the cosines.
    """
    scores = SHARPNESS * (texts @ names.T)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return unit_rows(shares @ of_names)


def alone(names: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return each of several names of a class, as "tench, Tinca tinca", and whose it is."""
    texts, owners = [], []
    for owner, name in enumerate(names):
        for each in filter(None, (part.strip() for part in name.split(","))):
            texts.append(each)
            owners.append(owner)
    return texts, np.array(owners, dtype=np.int64)
