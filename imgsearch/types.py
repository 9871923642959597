"""The nouns that every layer shares. numpy only, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from imgsearch.errors import ImgSearchError

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""One decoded image: shape (height, width, 3), RGB, 0 to 255."""

Vector: TypeAlias = npt.NDArray[np.float32]
"""One embedding: shape (d,), C-contiguous."""

Matrix: TypeAlias = npt.NDArray[np.float32]
"""A batch of embeddings: shape (n, d), C-contiguous."""

Value: TypeAlias = str | int | float | bool
"""What a field of a record may hold."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a collection; `vector` is None where it was not asked for."""

    id: str
    vector: Vector | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """One neighbour of a query.

    `score`: higher is nearer, whatever the metric. Cosine: the cosine, in [-1, 1]. Inner product:
    the product. L2: 1 - distance / 2, which for unit vectors is the cosine too.
    `distance`: lower is nearer. Cosine: 1 - cosine, in [0, 2]. Inner product: its negative.
    L2: the squared Euclidean distance, 0 and up.
    """

    id: str
    score: float
    distance: float
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What makes two encoders' vectors comparable: equal fingerprints, and nothing less.

    `weights` is the sha256 of the weights file, "" where there are none. `preprocessing` and
    `options` are canonical texts of what happens to the pixels and how the model is built,
    `templates` of the sentences that texts are put in. `reduction` is the sha256 of the file that
    shortens the vectors, "" where none does. `runtime` tells what ran the model and in which
    precision; it is information, and left out of comparisons.
    """

    model: str
    dim: int
    weights: str = ""
    preprocessing: str = ""
    options: str = ""
    normalized: bool = True
    templates: str = ""
    reduction: str = ""
    runtime: str = field(default="", compare=False)

    def identity(self) -> dict[str, str | int | bool]:
        """Return what is compared, by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.compare}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a value: what travels down a pipeline in place of the row that failed."""

    error: ImgSearchError
