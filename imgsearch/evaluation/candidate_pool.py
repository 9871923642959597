"""Pools of judged pairs, and the lowest score that reaches a wanted precision.

A pool has a row for each query: the scores of its pairs, whether they are right, and their weights.
A threshold is calibrated on one pool and validated on another, because figures on the calibration
pool are too optimistic.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imgsearch.errors import DatasetError, PrecisionUnreached
from imgsearch.evaluation.metrics import RESAMPLES
from imgsearch.library.thresholds import confirms

LEAST: Final = 10  # pairs at or above a threshold: one lucky pair does not prove a precision of 1
SEED: Final = 2026  # for bootstrap resampling
_BLOCK: Final = 4_000_000  # draws held at once: 32 MB of indices
_SLACK: Final = 1e-9  # rounding error of weighted precisions in float64

REMEDY: Final = "Give the score as a number, try another encoder, or ask for a lower precision."

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Judgment:
    """The effect of a threshold on a pool, with 95 % bootstrap intervals over the queries.

    `precision` is the share of right pairs among all pairs at or above the threshold. `recall` is
    the share of right pairs at or above it. Both are 0 if the pool has no such pairs. `pairs` is
    the unweighted number of pairs at or above the threshold.
    """

    threshold: float
    precision: float
    precision_interval: Interval
    recall: float
    recall_interval: Interval
    queries: int
    pairs: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-serializable values."""
        return asdict(self)


@dataclass(frozen=True)
class Pool:
    """Judged pairs: `scores` float64, `right` bool, `weights` float64, all (queries, pairs).

    Shorter rows are padded with pairs of weight 0, which are ignored.

    Raises:
        DatasetError: the shapes differ, a weight is negative, or the score of a pair with weight is
            not finite.
    """

    scores: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        shapes = {part.shape for part in (self.scores, self.right, self.weights)}
        if len(shapes) > 1 or self.scores.ndim != 2:
            raise DatasetError(
                f"pool: arrays of shapes {shapes}; give all one shape (queries, pairs)"
            )
        if not ((self.weights >= 0).all() and np.isfinite(self.scores[self.weights > 0]).all()):
            raise DatasetError("pool: a weight is below 0 or a score is not finite")

    @classmethod
    def of(cls, rows: "list[list[tuple[float, bool, float]]]") -> "Pool":
        """Build a pool from rows of (score, right, weight), of any lengths."""
        shape = len(rows), max(map(len, rows), default=0)
        scores, right, weights = np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape)
        for index, row in enumerate(rows):
            for column, pair in enumerate(row):
                scores[index, column], right[index, column], weights[index, column] = pair
        return cls(scores, right, weights)

    def lowest(self, precision: float, *, least: int = LEAST) -> float:
        """Return the lowest threshold that reaches `precision` in this pool.

        At least `least` pairs lie at or above the threshold. A higher threshold may be less precise
        by chance.

        Raises:
            PrecisionUnreached: no threshold reaches `precision`; `best` is the highest precision.
        """
        counting = self.weights > 0
        order = np.argsort(-self.scores[counting], kind="stable")
        scores = self.scores[counting][order]
        weights = self.weights[counting][order]
        right = np.cumsum(weights * self.right[counting][order])
        precisions = right / np.cumsum(weights)
        ends = np.flatnonzero(
            np.append(np.diff(scores) < 0, True)[: len(scores)]
        )  # of equal scores
        eligible = ends[ends + 1 >= least]
        reached = eligible[precisions[eligible] >= precision - _SLACK]
        if not len(reached):
            best = float(precisions[eligible].max(initial=0.0))
            raise PrecisionUnreached(
                f"no threshold reaches a precision of {precision:g} on {len(self.scores)} queries "
                f"with {len(scores)} pairs; the best is {best:.3f}. {REMEDY}",
                best=best,
                wanted=precision,
            )
        return float(scores[reached[-1]])

    def judge(self, threshold: float, *, share: float = 1.0) -> Judgment:
        """Return the effect of `threshold`, with the weights of right pairs multiplied by `share`.

        The intervals are percentiles over resampled queries.

        Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
        """
        weights = np.where(self.right, self.weights * share, self.weights)
        above = (self.scores >= threshold) & (weights > 0)
        sums = np.stack(  # (queries, 3): right above, all above, right
            [
                (weights * (above & self.right)).sum(axis=1),
                (weights * above).sum(axis=1),
                (weights * self.right).sum(axis=1),
            ],
            axis=1,
        )
        total = sums.sum(axis=0, keepdims=True)
        resampled = _resample(sums)
        return Judgment(
            threshold,
            float(_ratio(total[:, 0], total[:, 1])[0]),
            _interval(_ratio(resampled[:, 0], resampled[:, 1])),
            float(_ratio(total[:, 0], total[:, 2])[0]),
            _interval(_ratio(resampled[:, 0], resampled[:, 2])),
            len(self.scores),
            int(above.sum()),
        )


def confirm(wanted: float, checked: Judgment) -> None:
    """Check that the validation of a threshold confirms the wanted precision.

    Raises:
        PrecisionUnreached: `library.thresholds.confirms` returns False.
    """
    low, high = checked.precision_interval
    if confirms(wanted, checked.pairs, checked.precision_interval):
        return
    figures = (
        f"{checked.precision:.3f} (95 % interval {low:.3f} to {high:.3f}) over {checked.pairs} "
        f"pairs of {checked.queries} other queries"
        if checked.pairs
        else f"unknown, because no pair of {checked.queries} other queries reaches it"
    )
    raise PrecisionUnreached(
        f"the threshold {checked.threshold:.4f} failed its check: wanted precision {wanted:g}, "
        f"checked {figures}. {REMEDY}",
        best=checked.precision,
        wanted=wanted,
        checked=checked.precision,
        interval=checked.precision_interval,
    )


def _resample(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return bootstrap sums (resamples, 3) of rows drawn with replacement from (queries, 3)."""
    number = len(sums)
    if not number:
        return np.zeros((1, 3))
    rng = np.random.default_rng(SEED)
    block = max(1, _BLOCK // number)
    return np.concatenate(
        [
            sums[rng.integers(number, size=(min(block, RESAMPLES - done), number))].sum(axis=1)
            for done in range(0, RESAMPLES, block)
        ]
    )


def _ratio(
    part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _interval(values: npt.NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
