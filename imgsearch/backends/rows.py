"""Vectors and results of writes, for the operators of public Towhee code."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from imgsearch.errors import VectorInvalid
from imgsearch.types import Matrix


@dataclass(frozen=True, slots=True)
class Inserted:
    """The number of inserted rows, and their primary keys."""

    insert_count: int
    primary_keys: list[int | str]


def matrix(vectors: Any) -> Matrix:
    """Return a vector as (1, d), or many as (n, d), float32; stores check the values.

    Raises:
        VectorInvalid: they are not numbers, or differ in length.
    """
    try:
        return np.atleast_2d(np.asarray(vectors, np.float32))
    except (ValueError, TypeError) as error:
        raise VectorInvalid(
            f"the vectors are invalid: {error}. Pass numbers, in vectors of one length."
        ) from error
