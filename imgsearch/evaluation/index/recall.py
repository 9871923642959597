"""Recall of an index against exact search, judged by distance.

This is `ann_recall@k`, over the same vectors and metric. It uses no labels and is unrelated to
`recall@k` in `metrics`. Comparing ids would be misleading: of two equal rows only one would be
right, so even exact search would miss neighbors in a gallery with duplicates.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.backends import Metric
from imgsearch.errors import ConfigError
from imgsearch.types import Matrix

Distances = npt.NDArray[np.float64]

_SLACK: Final = 1e-6  # times the k-th distance, because stores sum in float32
_ROUNDING: Final = 1e-12  # times the squared lengths: float64 sums differ with their order


class Truth:
    """The distance of each query's exact k-th neighbor in a stream of rows.

    Memory holds k distances per query, not the rows. Lower distances are nearer; see `distances`.
    With fewer than k rows, all of them are neighbors.

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

    def add(self, rows: Matrix) -> None:
        """Add rows, shape (n, d)."""
        if not len(rows):
            return
        self.rows += len(rows)
        self._longest = max(self._longest, float(_squares(rows).max()))
        new = distances(self.queries, rows, self.metric)
        nearest = np.concatenate([self._nearest, new], axis=1)
        if nearest.shape[1] > self.k:
            nearest = np.partition(nearest, self.k - 1, axis=1)[:, : self.k]
        self._nearest = nearest

    @property
    def wanted(self) -> int:
        """The number of neighbors per query: k, or the number of rows if that is lower."""
        return min(self.k, self.rows)

    def bounds(self) -> Distances:
        """Return the highest distance that counts as a neighbor's, shape (queries,).

        It is the k-th exact distance, plus a millionth of its absolute value, plus the rounding
        error of a distance of 0. ann-benchmarks adds a slack, too.

        Source: https://github.com/erikbern/ann-benchmarks, ann_benchmarks/plotting/metrics.py
        """
        if not self.rows:
            return np.full(len(self.queries), -np.inf)
        last = self._nearest.max(axis=1)
        scale = 1.0 if self.metric == "cosine" else 2 * self._longest
        bounds: Distances = last + _SLACK * np.abs(last) + _ROUNDING * scale
        return bounds


def distances(queries: Matrix, rows: Matrix, metric: Metric) -> Distances:
    """Return each query's distance to each row, float64 (queries, rows).

    It is 1 - cosine ("cosine"), the squared Euclidean distance ("l2") or the negative inner product
    ("ip").
    """
    products = queries.astype(np.float64) @ rows.astype(np.float64).T
    if metric == "ip":
        return -products
    squares = _squares(queries)[:, None], _squares(rows)[None]
    result: Distances = (
        squares[0] + squares[1] - 2 * products
        if metric == "l2"
        else 1 - products / np.sqrt(squares[0] * squares[1])
    )
    return result


def ann_recall(results: Sequence[Mapping[str, float]], truth: Truth) -> Distances:
    """Return the share of exact neighbors that a search returned, shape (queries,).

    `results` maps, for each query, the ids of the returned rows to their distances, nearest first.
    The distances are computed from the stored vectors, not reported by the search. Only the first k
    rows count, and missing rows are misses.

    Source: Aumüller, Bernhardsson, Faithfull, ANN-Benchmarks, arXiv 1807.05614, section 2.

    Raises:
        ConfigError: the numbers of results and queries differ, or `truth` has no rows.
    """
    if len(results) != len(truth.queries) or not truth.wanted:
        raise ConfigError(
            f"cannot measure recall: {len(results)} results of {len(truth.queries)} queries over "
            f"{truth.rows} rows"
        )
    right = [
        sum(distance <= bound for distance in list(rows.values())[: truth.k])
        for rows, bound in zip(results, truth.bounds(), strict=True)
    ]
    shares: Distances = np.minimum(right, truth.wanted) / truth.wanted
    return shares


def _squares(rows: Matrix) -> Distances:
    """Return the squared lengths, shape (n,)."""
    wide = rows.astype(np.float64)
    squares: Distances = np.einsum("ij,ij->i", wide, wide)
    return squares
