"""array → the same of unit length, as ``ops.towhee.np_normalize`` gives."""

from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch.errors import EncoderError
from imgsearch.towhee import Operator


class TowheeNpNormalize(Operator):
    """Divide by the L2 norm along an axis."""

    def __init__(self, axis: int | None = 0) -> None:
        self._axis = axis

    def __call__(self, array: Any) -> npt.NDArray[Any]:
        """Return the array, of the same shape and, where it is of floats, of the same dtype."""
        values = np.asarray(array)
        norms = np.linalg.norm(values, axis=self._axis, keepdims=True)
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise EncoderError("an embedding is zero or not finite: it has no direction")
        unit: npt.NDArray[Any] = values / norms
        return unit
