"""How much of the exact neighbourhood a search returned, judged by distance and not by id.

This is `ann_recall@k`: an index against exact search over the same vectors and metric. It knows
no labels, and has nothing to do with `recall@k` of `metrics`. By ids, one of two equal rows would
be right and its twin wrong, so that even exact search would miss in a gallery with duplicates.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.backends import Metric
from imgsearch.errors import ConfigError
from imgsearch.types import Matrix

Distances = npt.NDArray[np.float64]

_SLACK: Final = 1e-6  # of the k-th distance, as ann-benchmarks has it: stores sum in float32
_ROUNDING: Final = 1e-12  # of the squared lengths: what sums of float64 in another order differ by


class Truth:
    """The distance of each query's exact k-th neighbour, out of a stream of rows.

    Keeps k distances a query, never the rows. Distances are those of `Hit`: lower is nearer.
    Below k rows all of them are neighbours.

    Raises:
        ConfigError: `k` is below 1.
    """

    def __init__(self, queries: Matrix, *, k: int, metric: Metric) -> None:
        if k < 1:
            raise ConfigError(f"k must be at least 1, not {k}")
        self.queries, self.k, self.metric = queries, k, metric
        self.rows = 0
        self._nearest: Distances = np.empty((len(queries), 0))
        self._longest = float(_squares(queries).max(initial=0.0))

    def offer(self, rows: Matrix) -> None:
        """Look at more rows, shape (n, d)."""
        if not len(rows):
            return
        self.rows += len(rows)
        self._longest = max(self._longest, float(_squares(rows).max()))
        found = distances(self.queries, rows, self.metric)
        held = np.concatenate([self._nearest, found], axis=1)
        self._nearest = (
            np.partition(held, self.k - 1, axis=1)[:, : self.k] if held.shape[1] > self.k else held
        )

    @property
    def wanted(self) -> int:
        """How many neighbours a query has: k, or all rows where there are fewer."""
        return min(self.k, self.rows)

    def bounds(self) -> Distances:
        """Return the distance up to which a row counts as a neighbour, shape (queries,).

        The k-th exact distance and a millionth of its size, whichever its sign (an inner
        product's is negative), and what rounding makes of a distance of 0.
        """
        if not self.rows:
            return np.full(len(self.queries), -np.inf)
        last = self._nearest.max(axis=1)
        scale = 1.0 if self.metric == "cosine" else 2 * self._longest
        bounds: Distances = last + _SLACK * np.abs(last) + _ROUNDING * scale
        return bounds


def distances(queries: Matrix, rows: Matrix, metric: Metric) -> Distances:
    """Return each query's distance to each row, shape (queries, rows), as `Hit` tells it.

    Computed in float64: 1 - cosine, the squared Euclidean distance, or the negative product.
    """
    products = queries.astype(np.float64) @ rows.astype(np.float64).T
    if metric == "ip":
        return -products
    squares = _squares(queries)[:, None], _squares(rows)[None]
    found: Distances = (
        squares[0] + squares[1] - 2 * products
        if metric == "l2"
        else 1 - products / np.sqrt(squares[0] * squares[1])
    )
    return found


def ann_recall(found: Sequence[Mapping[str, float]], truth: Truth) -> Distances:
    """Return for each query the share of its exact neighbours that were found, shape (queries,).

    `found`: for each query the true distances of the rows that came back, by id, nearest first;
    computed from the stored vectors, never those that the search itself reported. Rows beyond
    the first k do not count, and those that did not come back are misses.

    Source: Aumüller, Bernhardsson, Faithfull, ANN-Benchmarks, arXiv 1807.05614, section 2.

    Raises:
        ConfigError: not one mapping for each query, or no row was offered.
    """
    if len(found) != len(truth.queries) or not truth.wanted:
        raise ConfigError(
            f"{len(found)} answers to {len(truth.queries)} queries over {truth.rows} rows: nothing "
            "to compare"
        )
    right = [
        sum(distance <= bound for distance in list(rows.values())[: truth.k])
        for rows, bound in zip(found, truth.bounds(), strict=True)
    ]
    shares: Distances = np.minimum(right, truth.wanted) / truth.wanted
    return shares


def _squares(rows: Matrix) -> Distances:
    """Return the squared lengths, shape (n,)."""
    wide = rows.astype(np.float64)
    squares: Distances = np.einsum("ij,ij->i", wide, wide)
    return squares
