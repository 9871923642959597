"""What rows hold and what a write of them tells, for the operators of public Towhee code."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from imgsearch.errors import VectorInvalid
from imgsearch.types import Matrix


@dataclass(frozen=True, slots=True)
class Inserted:
    """How many rows went in, and their primary keys."""

    insert_count: int
    primary_keys: list[int | str]


def matrix(vectors: Any) -> Matrix:
    """Return a vector as (1, d), or many as (n, d), float32; stores check the rest.

    Raises:
        VectorInvalid: they are no numbers, or of several lengths.
    """
    try:
        return np.atleast_2d(np.asarray(vectors, np.float32))
    except (ValueError, TypeError) as error:
        raise VectorInvalid(f"a vector is numbers, and many are of one length: {error}") from error
