"""Two runs over the same queries: how they differ, and whether chance could have done it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from imgsearch.errors import DatasetError
from imgsearch.evaluation.metrics import RESAMPLES, interval
from imgsearch.evaluation.run import SEED, Run

if TYPE_CHECKING:
    import pandas as pd

_BLOCK: Final = 4_000_000  # signs drawn at once
_ALL: Final = 14  # up to so many differences all 2**n signs are tried


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of two runs, over the queries that both scored.

    `difference` is `second` - `first`, `low` and `high` its 95 % bootstrap interval over the
    queries, `p` what the randomisation test gives for "no difference" (two-sided), `n` the queries.
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
        DatasetError: the runs measured different images, or asked for different things.
    """
    if first.subject.manifest != second.subject.manifest or first.asked != second.asked:
        raise DatasetError(
            f"{first.subject.name} ({first.asked}) and {second.subject.name} ({second.asked}) are "
            "not the same images and queries: there is nothing to pair"
        )
    ours, theirs = _places(first), _places(second)
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise DatasetError("no query was scored in both runs")
    mine, other = [ours[name] for name in shared], [theirs[name] for name in shared]
    return [
        paired(name, values[mine], second.measures.per_query[name][other])
        for name, values in first.measures.per_query.items()
        if name in second.measures.per_query
    ]


def paired(
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
        randomisation(apart, rng=SEED),
        len(apart),
    )


def randomisation(
    apart: npt.ArrayLike, *, rng: np.random.Generator | int, resamples: int = RESAMPLES
) -> float:
    """Return how often random signs give a mean as far from 0 as that of `apart`, shape (n,).

    If the two systems are alike, each difference might as well have the other sign. Up to 14
    queries whose values differ, all signs are tried and the share is exact; else `resamples` are
    drawn, and the p of none is 1 / (resamples + 1).

    Source: Smucker, Allan, Carterette, A Comparison of Statistical Significance Tests for
    Information Retrieval Evaluation, CIKM 2007.

    Raises:
        DatasetError: `apart` is empty or holds NaN or infinity.
    """
    sample = np.asarray(apart, dtype=np.float64).ravel()
    if not (sample.size and np.isfinite(sample).all()):
        raise DatasetError("a test needs at least one difference, and all of them finite")
    moving = sample[sample != 0]  # a sign changes nothing where they are equal
    if not moving.size:
        return 1.0
    seen = abs(moving.sum()) * (1 - 1e-12)  # sums of another order differ in the last digits
    if moving.size <= _ALL:
        every = (np.arange(2**moving.size)[:, None] >> np.arange(moving.size)) & 1
        return float((np.abs((2 * every - 1) @ moving) >= seen).mean())
    generator = np.random.default_rng(rng)
    rows = max(1, _BLOCK // moving.size)
    reached = 0
    for done in range(0, resamples, rows):
        size = (min(rows, resamples - done), moving.size)
        signs = generator.integers(2, size=size, dtype=np.int8) * 2 - 1
        reached += int((np.abs(signs @ moving) >= seen).sum())
    return (reached + 1) / (resamples + 1)


def table(runs: Mapping[str, Run], *, measures: Sequence[str]) -> "pd.DataFrame":
    """Return a row for each measure and each run after the first, against the first.

    Columns: `measure`, `first`, `second` (the runs' names), their means `a` and `b`, and
    `difference`, `low`, `high`, `p`, `n` as in `Difference`. The p are not corrected for many
    comparisons.
    """
    import pandas as pd

    (base, against), *others = runs.items()
    rows = [
        {
            "measure": each.measure,
            "first": base,
            "second": name,
            "a": each.first,
            "b": each.second,
            **{part: getattr(each, part) for part in ("difference", "low", "high", "p", "n")},
        }
        for name, run in others
        for each in differences(against, run)
        if each.measure in measures
    ]
    columns = ["measure", "first", "second", "a", "b", "difference", "low", "high", "p", "n"]
    return pd.DataFrame(rows, columns=columns)


def _places(run: Run) -> dict[tuple[str, str], int]:
    """Return where each scored query stands, by what it is and not by where it lies."""
    scored = [answer for answer in run.answers if answer.ranking.relevant > 0]
    return {(each.ranking.query, each.label): place for place, each in enumerate(scored)}
