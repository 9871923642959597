"""Thresholds for queries without a match: the library has no images with the query's label.

Each query is judged twice: with the images that have its label, and without them. In the second
case every hit is wrong.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from imgsearch.evaluation.candidate_pool import SEED, Interval, Pool
from imgsearch.evaluation.metrics import interval

Judged: TypeAlias = Sequence[tuple[str, float, bool]]
"""The hits of a query, nearest first: (id, score, whether it has the query's label)."""


@dataclass(frozen=True, slots=True)
class NoMatch:
    """The effect of a threshold on queries with and without a match in the library.

    `answered` is the share of queries with a right hit at or above the threshold, among queries
    with any right hit. `rejected` is the share of queries without a hit at or above the threshold
    if the images with their label are left out. Both have 95 % bootstrap intervals over queries.
    """

    answered: float
    answered_interval: Interval
    rejected: float
    rejected_interval: Interval
    queries: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-serializable values."""
        return asdict(self)


def pool(hits: Sequence[Judged]) -> Pool:
    """Return a pool of nearest hits, as if half of the queries had a match in the library.

    A query has up to two pairs: its nearest right hit, and its nearest wrong hit, which would come
    first without the images that have its label. So the precision of a threshold is the share of
    queries with a right hit among queries with any hit.

    >>> pool([[("ü", 0.9, True), ("x", 0.4, False)]] * 10).lowest(0.9)
    0.9
    """
    rows = []
    for query in hits:
        pairs = ((_right(query), True), (_wrong(query), False))
        rows.append([(score, right, 1.0) for score, right in pairs if score is not None])
    return Pool.of(rows)


def judge(hits: Sequence[Judged], threshold: float) -> NoMatch:
    """Return the effect of a threshold on queries, given their hits.

    >>> judge([[("ü", 0.9, True), ("x", 0.4, False)]] * 10, 0.5).rejected
    1.0
    """
    answered = [score >= threshold for score in map(_right, hits) if score is not None]
    rejected = [(score is None or score < threshold) for score in map(_wrong, hits)]
    return NoMatch(*_share(answered), *_share(rejected), len(hits))


def _right(hits: Judged) -> float | None:
    """Return the score of the nearest right hit, or None if no hit is right."""
    return next((score for _, score, is_right in hits if is_right), None)


def _wrong(hits: Judged) -> float | None:
    """Return the score of the nearest wrong hit, or None if no hit is wrong."""
    return next((score for _, score, is_right in hits if not is_right), None)


def _share(outcomes: Sequence[bool]) -> tuple[float, Interval]:
    if not outcomes:
        return 0.0, (0.0, 1.0)
    return sum(outcomes) / len(outcomes), interval(list(map(float, outcomes)), rng=SEED)
