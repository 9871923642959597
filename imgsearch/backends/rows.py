"""Types that the Milvus and Tencent operators share, compatible with public Towhee code."""

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
    """Return one vector as float32 (1, d), or several as (n, d). The store checks the values.

    Raises:
        VectorInvalid: the vectors are not numbers, or differ in length.
    """
    try:
        return np.atleast_2d(np.asarray(vectors, np.float32))
    except (ValueError, TypeError) as error:
        raise VectorInvalid(
            f"the vectors are invalid: {error}. Pass numbers, in vectors of one length."
        ) from error
