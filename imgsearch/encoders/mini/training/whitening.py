"""The last step of what an image shows: directions that vary much count no more than others."""

from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.types import Matrix

_SHRUNK: Final = 0.03  # of the mean variance, added to each: keeps noise small; see the card


def whitening(vectors: Matrix) -> Matrix:
    """Return the symmetric matrix (dim, dim) after which `vectors` (n, dim) vary alike.

    In all directions, that is, and nearly so: it is the inverse root of the covariance with a
    little added to each variance, and of the size of a rotation. No mean is taken off, so that
    texts, which lie elsewhere, can go through the same. Source: Jégou, Chum, Negative Evidences and
    Co-occurrences in Image Retrieval: the Benefit of PCA and Whitening, 2012.
    """
    covariance = np.cov(np.asarray(vectors, dtype=np.float64).T)
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, 0) + _SHRUNK * variances.mean()
    matrix: npt.NDArray[np.float64] = (directions * variances**-0.5) @ directions.T
    return np.asarray(matrix * np.sqrt(len(matrix) / np.square(matrix).sum()), dtype=np.float32)
