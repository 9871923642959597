"""Pools of judged pairs: which score is high enough for a precision that is asked for.

A pool has a row for each query: the scores of what it was compared with, which of these are right,
and how much each counts. A threshold is chosen on one pool and its figures are told of another:
on the pool that it was chosen on they are too good.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imgsearch.errors import DatasetError, PrecisionUnreached
from imgsearch.evaluation.metrics import RESAMPLES
from imgsearch.library.thresholds import confirms

LEAST: Final = 10  # pairs at a threshold: one lucky pair at the top is no precision of 1
SEED: Final = 2026  # of the resampling
_BLOCK: Final = 4_000_000  # draws held at once: 32 MB of indices
_SLACK: Final = 1e-9  # of sums of weights, in float64

REMEDY: Final = "Give the score as a number, try another encoder, or ask for a lower precision."

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a threshold does to a pool, with 95 % bootstrap intervals over the queries.

    `precision`: the share of right pairs among those of `threshold` or more; `recall`: the share
    of the pool's right pairs that these are. Both 0 where there is nothing to divide by. `pairs`
    are those at the threshold or above, by number, not by weight.
    """

    threshold: float
    precision: float
    precision_interval: Interval
    recall: float
    recall_interval: Interval
    queries: int
    pairs: int

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Pool:
    """Judged pairs: `scores` float64, `right` bool, `weights` float64, all (queries, pairs).

    Rows that are shorter end in pairs of weight 0, which count for nothing.

    Raises:
        DatasetError: the shapes differ, a weight is negative, or what counts is not finite.
    """

    scores: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        shapes = {each.shape for each in (self.scores, self.right, self.weights)}
        if len(shapes) > 1 or self.scores.ndim != 2:
            raise DatasetError(f"a pool's parts have one shape (queries, pairs), not {shapes}")
        if not ((self.weights >= 0).all() and np.isfinite(self.scores[self.weights > 0]).all()):
            raise DatasetError("a pool's weights are 0 or more, and its scores finite")

    @classmethod
    def of(cls, rows: "list[list[tuple[float, bool, float]]]") -> "Pool":
        """Return the pool of rows of (score, right, weight), of any lengths."""
        shape = len(rows), max(map(len, rows), default=0)
        scores, right, weights = np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape)
        for place, row in enumerate(rows):
            for at, pair in enumerate(row):
                scores[place, at], right[place, at], weights[place, at] = pair
        return cls(scores, right, weights)

    def lowest(self, precision: float, *, least: int = LEAST) -> float:
        """Return the lowest score that, as a threshold, reaches `precision` in this pool.

        Scores above which fewer than `least` pairs lie are not asked. Higher thresholds may be
        less precise again, by chance.

        Raises:
            PrecisionUnreached: no score reaches it; the error has the best precision reached.
        """
        counting = self.weights > 0
        order = np.argsort(-self.scores[counting], kind="stable")
        scores = self.scores[counting][order]
        weights = self.weights[counting][order]
        right = np.cumsum(weights * self.right[counting][order])
        precisions = right / np.cumsum(weights)
        ends = np.flatnonzero(np.append(np.diff(scores) < 0, True)[: len(scores)])  # of equal ones
        asked = ends[ends + 1 >= least]
        reached = asked[precisions[asked] >= precision - _SLACK]
        if not len(reached):
            best = float(precisions[asked].max(initial=0.0))
            raise PrecisionUnreached(
                f"no threshold reaches a precision of {precision:g} on {len(self.scores)} queries "
                f"with {len(scores)} pairs; the best is {best:.3f}. {REMEDY}",
                best=best,
                wanted=precision,
            )
        return float(scores[reached[-1]])

    def judge(self, threshold: float, *, share: float = 1.0) -> Judgement:
        """Return what `threshold` does to this pool; right pairs count `share` times as much.

        Source of the interval: Efron, Tibshirani, An Introduction to the Bootstrap (1993),
        chapter 13: percentiles over queries drawn again, of ratios of their sums.
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
        drawn = _drawn(sums)
        return Judgement(
            threshold,
            float(_ratio(total[:, 0], total[:, 1])[0]),
            _interval(_ratio(drawn[:, 0], drawn[:, 1])),
            float(_ratio(total[:, 0], total[:, 2])[0]),
            _interval(_ratio(drawn[:, 0], drawn[:, 2])),
            len(self.scores),
            int(above.sum()),
        )


def confirm(wanted: float, checked: Judgement) -> None:
    """Refuse a threshold whose check does not confirm the wanted precision.

    Raises:
        PrecisionUnreached: `thresholds.confirms` is false.
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
        f"the threshold {checked.threshold:.4f} was refused by its check: wanted precision "
        f"{wanted:g}, checked {figures}. {REMEDY}",
        best=checked.precision,
        wanted=wanted,
        checked=checked.precision,
        interval=checked.precision_interval,
    )


def _drawn(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the sums (resamples, 3) over queries drawn with replacement from (queries, 3)."""
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
