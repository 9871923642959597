"""Array → array with unit L2 norm, with the interface of ``ops.towhee.np_normalize``."""

from typing import Any

import numpy as np
import numpy.typing as npt

from imgsearch.errors import EncoderError
from imgsearch.towhee import Operator


class TowheeNpNormalize(Operator):
    """Divide an array by its L2 norm along an axis."""

    def __init__(self, axis: int | None = 0) -> None:
        self._axis = axis

    def __call__(self, array: Any) -> npt.NDArray[Any]:
        """Return an array of the same shape and, for floats, the same dtype."""
        values = np.asarray(array)
        norms = np.linalg.norm(values, axis=self._axis, keepdims=True)
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise EncoderError("cannot normalize an embedding: it is zero or not finite.")
        unit: npt.NDArray[Any] = values / norms
        return unit


towhee_np_normalize = TowheeNpNormalize  # the name that Towhee looks for
