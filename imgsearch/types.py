"""Types that every layer shares: records, hits, fingerprints, arrays. numpy only, no I/O."""

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
"""The value of a record's field."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a collection. `vector` is None if it was not requested."""

    id: str
    vector: Vector | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """One neighbor of a query.

    `score`: higher is nearer, for every metric. Cosine: the cosine, in [-1, 1]. Inner product: the
    product. L2: 1 - distance / 2, which equals the cosine for unit vectors.
    `distance`: lower is nearer. Cosine: 1 - cosine, in [0, 2]. Inner product: its negative.
    L2: the squared Euclidean distance, 0 or more.
    """

    id: str
    score: float
    distance: float
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of an encoder. Vectors are comparable if their encoders' fingerprints are equal.

    `weights` is the sha256 of the weights file, "" for a model without weights. `preprocessing`,
    `options` and `templates` are canonical texts of the steps before the model, of the model's
    options and of the sentences that texts are put in. `reduction` is the sha256 of the file that
    shortens the vectors, "" without one. `runtime` names the engine and precision of the model; it
    is not compared.
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
        """Return the compared fields by name."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.compare}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a value, which replaces a failed row in a pipeline."""

    error: ImgSearchError
