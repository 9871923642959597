"""Vectors → shorter vectors, in batches."""

import numpy as np

from imgsearch.encoders import unit
from imgsearch.encoders.reduction.fit import Reduction
from imgsearch.errors import EncoderMismatch
from imgsearch.towhee import BatchOperator
from imgsearch.types import Vector


class VectorReduce(BatchOperator):
    """Shorten vectors with the reduction in `file`, which `imgsearch reduce` writes."""

    def __init__(self, file: str, *, normalize: bool = True) -> None:
        self._reduction, self._normalize = Reduction.load(file), normalize

    def __call__(self, vectors: list[Vector]) -> list[Vector]:
        """Return a shorter vector, float32 (dim,), for each of `vectors`, float32 (d,)."""
        dim = self._reduction.d_in
        for vector in vectors:
            if np.shape(vector) != (dim,):
                raise EncoderMismatch(
                    f"vector of shape {np.shape(vector)}: the reduction takes ({dim},)."
                )
        # unit vectors first, because the reduction was fitted to unit vectors
        shorter = self._reduction.apply(unit(np.stack(vectors)))
        return list(unit(shorter) if self._normalize else shorter)


vector_reduce = VectorReduce  # the name that Towhee looks for
