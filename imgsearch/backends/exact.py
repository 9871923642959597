"""Exact similarities of queries and vectors, and hits made of them."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.backends.schema import Metric
from imgsearch.types import Hit, Matrix, Value

BLOCK: Final = 4_096  # rows converted to float64 at once; 64 MB with 2,048 dimensions


def hit(
    metric: Metric, similarity: float, id_: str, fields: Mapping[str, Value], *, dim: int = 0
) -> Hit:
    """Convert a store's similarity to a `Hit`; L2 and Hamming have distances instead.

    `dim` is the number of bits, for Hamming alone. Cosines are clamped to [-1, 1] and squared
    distances to at least 0, because stores round.
    """
    match metric:
        case "l2":
            distance = max(similarity, 0.0)
            return Hit(id_, 1 - distance / 2, distance, fields)
        case "cosine":
            cosine = min(max(similarity, -1.0), 1.0)
            return Hit(id_, cosine, 1 - cosine, fields)
        case "hamming":
            return Hit(id_, 1 - 2 * similarity / dim, similarity, fields)
        case _:
            return Hit(id_, similarity, -similarity, fields)


def similarities(
    queries: Matrix, vectors: Matrix, places: npt.NDArray[np.intp], metric: Metric
) -> npt.NDArray[np.float64]:
    """Return cosines, inner products or distances, float64, shape (queries, places).

    Distances are squared for L2, and the number of different bits for vectors of bits, ±1/√d.


    Computed in float64, so that nearly equal scores are in the right order.
    """
    left = queries.astype(np.float64)
    similarity = np.empty((len(queries), len(places)))
    for start in range(0, len(places), BLOCK):
        block = vectors[places[start : start + BLOCK]].astype(np.float64)
        products = left @ block.T
        if metric == "cosine":
            products /= np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(block, axis=1)
        elif metric == "l2":
            squares = (left**2).sum(axis=1)[:, None] + (block**2).sum(axis=1)
            products = squares - 2 * products
        elif metric == "hamming":
            products = np.rint((1 - products) * queries.shape[1] / 2)
        similarity[:, start : start + BLOCK] = products
    return similarity
