"""Comparison of two runs over the same queries, with significance tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from imgsearch.errors import DatasetError
from imgsearch.evaluation.metrics import RESAMPLES, interval
from imgsearch.evaluation.run import SEED, Run
from imgsearch.library.data_frames import import_pandas

if TYPE_CHECKING:
    import pandas as pd

_BLOCK: Final = 4_000_000  # signs drawn at once
_ALL: Final = 14  # up to this number of differences all 2**n signs are tried


@dataclass(frozen=True, slots=True)
class Difference:
    """The means of one measure in two runs, over the `n` queries scored in both.

    `difference` is `second` - `first`. `low` and `high` are its 95 % bootstrap interval over the
    queries. `p` is the two-sided p-value of the randomization test.
    """

    measure: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    n: int


def differences(first: Run, second: Run) -> list[Difference]:
    """Return the difference in each measure that both runs have, paired by query.

    Raises:
        DatasetError: the runs have different images or queries, or no scored query in common.
    """
    if first.subject.manifest != second.subject.manifest or first.asked != second.asked:
        raise DatasetError(
            f"cannot compare {first.subject.name} ({first.asked}) with {second.subject.name} "
            f"({second.asked}): their images or queries differ"
        )
    ours, theirs = _query_rows(first), _query_rows(second)
    shared = [query for query in ours if query in theirs]
    if not shared:
        raise DatasetError("cannot compare the runs: no query was scored in both")
    mine, other = [ours[query] for query in shared], [theirs[query] for query in shared]
    return [
        paired_difference(name, values[mine], second.measures.per_query[name][other])
        for name, values in first.measures.per_query.items()
        if name in second.measures.per_query
    ]


def paired_difference(
    name: str, first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> Difference:
    """Return the difference of two measurements of the same n queries, float64 (n,) each."""
    apart = second - first
    low, high = interval(apart, rng=SEED)
    return Difference(
        name,
        float(first.mean()),
        float(second.mean()),
        float(apart.mean()),
        low,
        high,
        randomization_test(apart, rng=SEED),
        len(apart),
    )


def randomization_test(
    apart: npt.ArrayLike, *, rng: np.random.Generator | int, resamples: int = RESAMPLES
) -> float:
    """Return the p-value of a paired randomization test on the differences `apart`, shape (n,).

    The p-value is the share of random sign flips whose mean is at least as far from 0, because
    between equal systems either sign is equally likely. With up to 14 nonzero differences all sign
    flips are tried, and the p-value is exact. Otherwise `resamples` sign flips are drawn, and the
    lowest p-value is 1 / (resamples + 1).

    Source: Smucker, Allan, Carterette, A Comparison of Statistical Significance Tests for
    Information Retrieval Evaluation, CIKM 2007.

    Raises:
        DatasetError: `apart` is empty or holds NaN or infinity.
    """
    sample = np.asarray(apart, dtype=np.float64).ravel()
    if not (sample.size and np.isfinite(sample).all()):
        raise DatasetError("a randomization test needs one or more differences, all finite")
    moving = sample[sample != 0]  # a sign does not change 0
    if not moving.size:
        return 1.0
    observed = abs(moving.sum()) * (1 - 1e-12)  # sums in another order differ in the last digits
    if moving.size <= _ALL:
        bits = (np.arange(2**moving.size)[:, None] >> np.arange(moving.size)) & 1
        return float((np.abs((2 * bits - 1) @ moving) >= observed).mean())
    generator = np.random.default_rng(rng)
    rows = max(1, _BLOCK // moving.size)
    reached = 0
    for done in range(0, resamples, rows):
        size = (min(rows, resamples - done), moving.size)
        signs = generator.integers(2, size=size, dtype=np.int8) * 2 - 1
        reached += int((np.abs(signs @ moving) >= observed).sum())
    return (reached + 1) / (resamples + 1)


def table(runs: Mapping[str, Run], *, measures: Sequence[str]) -> "pd.DataFrame":
    """Return a row for each measure of each further run, compared with the first run.

    Columns: `measure`, `first` and `second` (the run names), their means `a` and `b`, and
    `difference`, `low`, `high`, `p`, `n` as in `Difference`. The p-values are not corrected for
    multiple comparisons.
    """
    pd = import_pandas()
    (base, against), *others = runs.items()
    rows = [
        {
            "measure": row.measure,
            "first": base,
            "second": name,
            "a": row.first,
            "b": row.second,
            **{part: getattr(row, part) for part in ("difference", "low", "high", "p", "n")},
        }
        for name, run in others
        for row in differences(against, run)
        if row.measure in measures
    ]
    columns = ["measure", "first", "second", "a", "b", "difference", "low", "high", "p", "n"]
    return pd.DataFrame(rows, columns=columns)


def _query_rows(run: Run) -> dict[tuple[str, str], int]:
    """Return the row of each scored query by (id, label), which does not depend on paths."""
    scored = [answer for answer in run.answers if answer.ranking.relevant > 0]
    return {(answer.ranking.query, answer.label): row for row, answer in enumerate(scored)}
