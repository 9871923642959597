"""Measures of one query's ranking, and their means over all queries.

R is the number of relevant images in the gallery, without the query itself. h is the number of
relevant hits in the top k. S is the sum of the precisions at those ranks of the top k that have a
relevant hit. `relevance` has a bool for each hit, best first. Missing ranks are misses.

`map@k` and `ap_hits@k` divide S by different numbers, so do not compare them with each other. For
a single relevant hit at rank 1 of 10, with 10 relevant images, `map@10` is 0.1 and `ap_hits@10` is
1.0.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.errors import DatasetError
from imgsearch.text import counted

RESAMPLES: Final = 10_000  # for normal data each end has a standard error of 0.7 % of the width
_BLOCK: Final = 4_000_000  # draws held at once: 32 MB of indices
_SLACK: Final = 1e-6  # times the score: float32 sums differ in the last digits with their order


@dataclass(frozen=True, slots=True)
class Ranking:
    """The hits of one query, best first, with their relevance.

    `query` is an id of the same kind as `ids`. A higher score is nearer. `relevant` is R.

    Raises:
        DatasetError: the sequences have different lengths, a score is not finite or exceeds the
            score before it, an id occurs twice, the query is among its own hits, or more than R
            hits are relevant.
    """

    query: str
    ids: Sequence[str]
    scores: Sequence[float]
    relevance: Sequence[bool]
    relevant: int

    def __post_init__(self) -> None:
        name = f"ranking of {self.query!r}"
        if not len(self.ids) == len(self.scores) == len(self.relevance):
            raise DatasetError(
                f"{name}: {len(self.ids)} ids, {len(self.scores)} scores and "
                f"{len(self.relevance)} judgments; give one of each for a hit"
            )
        if not all(math.isfinite(score) for score in self.scores):
            raise DatasetError(f"{name}: a score is NaN or infinite, so the order is undefined")
        if any(
            after > before + _SLACK * max(1, abs(before)) for before, after in pairwise(self.scores)
        ):
            raise DatasetError(f"{name}: scores rise from hit to hit. Give scores, not distances.")
        twice = [id_ for id_, times in Counter(self.ids).items() if times > 1]
        if twice:
            raise DatasetError(f"{name}: {twice[0]!r} occurs more than once")
        if self.query in self.ids:
            raise DatasetError(f"{name}: it contains the query itself. Remove it from its hits.")
        _check(self.relevance, relevant=self.relevant, least=0)


@dataclass(frozen=True, slots=True)
class Measures:
    """Means over the scored queries, and the values of each query.

    `metrics` maps each measure to its mean, in [0, 1]. `queries` is the number of scored queries,
    and `left_out` the number of queries without a relevant image. `per_query` maps each measure to
    its values, float64 (queries,), in the order of `names`. `notes` explain limits of the figures.
    """

    metrics: Mapping[str, float]
    queries: int
    left_out: int
    names: tuple[str, ...]
    per_query: Mapping[str, npt.NDArray[np.float64]]
    notes: tuple[str, ...]


def hit_at(relevance: Sequence[bool], *, k: int) -> float:
    """Return 1 if h > 0, otherwise 0. Papers on CLIP call the mean of this measure recall@k.

    Source: trec_eval's `success`; ir-measures' `Success@k`.
    """
    return float(any(_top(relevance, k)))


def precision_at(relevance: Sequence[bool], *, k: int) -> float:
    """Return h / k, even if there are fewer than k hits. The maximum is R / k if R < k.

    Source: Manning, Raghavan, Schütze, Introduction to Information Retrieval (2008), section 8.4.
    """
    return sum(_top(relevance, k)) / k


def recall_at(relevance: Sequence[bool], *, relevant: int, k: int) -> float:
    """Return h / R. The maximum is k / R if R > k.

    Towhee's notebooks call the mean of this measure mHR.

    Source: Manning, Raghavan, Schütze (2008), section 8.3.

    Raises:
        DatasetError: R is below 1 or below the number of relevant hits.
    """
    _check(relevance, relevant=relevant)
    return sum(_top(relevance, k)) / relevant


def average_precision_at(relevance: Sequence[bool], *, relevant: int, k: int) -> float:
    """Return S / min(R, k); its mean is `map@k`.

    If R <= k this is S / R, like trec_eval's `map_cut`. If R > k, trec_eval still divides by R, so
    its value for a perfect top k is below 1; here it is 1.

    Source: Musgrave, Belongie, Lim, A Metric Learning Reality Check, arXiv 2003.08505 (MAP@R is
    this measure with k = R).

    Raises:
        DatasetError: as for `recall_at`.
    """
    _check(relevance, relevant=relevant)
    return _sum_of_precisions(_top(relevance, k)) / min(relevant, k)


def ap_hits_at(relevance: Sequence[bool], *, k: int) -> float:
    """Return S / h, or 0 if h = 0. Relevant images that are missing do not lower it.

    This is not the standard average precision. Use it only to compare with published figures.

    Source: `get_ap` in Towhee's image search notebooks.
    """
    top = _top(relevance, k)
    return _sum_of_precisions(top) / max(sum(top), 1)


def reciprocal_rank(relevance: Sequence[bool]) -> float:
    """Return 1 / rank of the first relevant hit, or 0 if no hit is relevant.

    Source: Voorhees, The TREC-8 Question Answering Track Report (1999).
    """
    return next((1 / rank for rank, hit in enumerate(relevance, 1) if hit), 0.0)


def r_precision(relevance: Sequence[bool], *, relevant: int) -> float:
    """Return the share of relevant hits among the first R hits.

    A ranking that ends before rank R gives a lower bound.

    Source: Manning, Raghavan, Schütze (2008), section 8.4.

    Raises:
        DatasetError: as for `recall_at`.
    """
    return recall_at(relevance, relevant=relevant, k=relevant)


def ndcg_at(relevance: Sequence[bool], *, relevant: int, k: int) -> float:
    """Return the sum of 1 / log2(rank + 1) over relevant hits, divided by the highest possible sum.

    The highest sum is reached if the first min(R, k) hits are relevant.

    Source: Järvelin, Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4),
    2002, with the discount of trec_eval's `ndcg_cut`.

    Raises:
        DatasetError: as for `recall_at`.
    """
    _check(relevance, relevant=relevant)
    gain = sum(1 / math.log2(rank + 1) for rank, hit in enumerate(_top(relevance, k), 1) if hit)
    return gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(relevant, k) + 1))


def measure(rankings: Sequence[Ranking], *, ks: Sequence[int] = (1, 5, 10)) -> Measures:
    """Return every measure at every k, averaged over the queries with R > 0.

    Raises:
        DatasetError: no query has a relevant image, or a k is below 1.
    """
    scored = [ranking for ranking in rankings if ranking.relevant > 0]
    if not scored:
        raise DatasetError(
            f"none of {counted(len(rankings), 'query')} has a relevant image in the gallery"
        )
    depths = sorted(set(ks))
    rows = [_values(ranking, depths) for ranking in scored]
    per_query = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    left_out = len(rankings) - len(scored)
    return Measures(
        metrics={name: float(values.mean()) for name, values in per_query.items()},
        queries=len(scored),
        left_out=left_out,
        names=tuple(ranking.query for ranking in scored),
        per_query=per_query,
        notes=tuple(_notes(scored, depths, left_out)),
    )


def interval(
    values: npt.ArrayLike, *, rng: np.random.Generator | int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean of `values`, shape (n,).

    `rng` is a generator or a seed. A single value, or equal values, give an interval of width 0,
    which says nothing about other queries.

    Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Raises:
        DatasetError: `values` is empty or holds NaN or infinity.
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    if not (sample.size and np.isfinite(sample).all()):
        raise DatasetError("an interval needs at least one value, and finite values only")
    generator = np.random.default_rng(rng)
    rows = max(1, _BLOCK // sample.size)
    means = [
        sample[
            generator.integers(sample.size, size=(min(rows, resamples - done), sample.size))
        ].mean(axis=1)
        for done in range(0, resamples, rows)
    ]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return float(low), float(high)


def _values(ranking: Ranking, ks: Sequence[int]) -> dict[str, float]:
    """Return the measures of one query by name, in the order of a report."""
    hits, relevant = ranking.relevance, ranking.relevant
    values: dict[str, float] = {}
    for k in ks:
        values |= {
            f"hit@{k}": hit_at(hits, k=k),
            f"precision@{k}": precision_at(hits, k=k),
            f"recall@{k}": recall_at(hits, relevant=relevant, k=k),
            f"map@{k}": average_precision_at(hits, relevant=relevant, k=k),
            f"ap_hits@{k}": ap_hits_at(hits, k=k),
            f"ndcg@{k}": ndcg_at(hits, relevant=relevant, k=k),
        }
    values["mrr"] = reciprocal_rank(hits)
    values["r_precision"] = r_precision(hits, relevant=relevant)
    return values


def _notes(scored: Sequence[Ranking], ks: Sequence[int], left_out: int) -> list[str]:
    """Return sentences about the limits of the figures."""
    notes = []
    n = len(scored)
    if left_out:
        notes.append(f"{left_out} of {n + left_out} queries left out: no relevant image.")
    for k in ks:
        above = sum(r.relevant > k for r in scored)
        if above:
            cap = sum(min(r.relevant, k) / r.relevant for r in scored) / n
            notes.append(
                f"recall@{k} is capped at {cap:.3f}: {above} of {n} queries have more than {k} "
                f"relevant images. map@{k} divides by min(R, {k}) there, trec_eval by R."
            )
        if any(r.relevant < k for r in scored):
            cap = sum(min(r.relevant, k) / k for r in scored) / n
            notes.append(f"precision@{k} is capped at {cap:.3f}: some queries have fewer than {k}.")
        short = sum(len(r.ids) < k for r in scored)
        if short:
            notes.append(f"{short} of {n} rankings hold fewer than {k} hits; the rest are misses.")
    cut = sum(len(r.ids) < r.relevant for r in scored)
    if cut:
        notes.append(f"r_precision is a lower bound: {cut} of {n} rankings end before rank R.")
    return notes


def _top(relevance: Sequence[bool], k: int) -> list[bool]:
    if k < 1:
        raise DatasetError(f"k must be at least 1, not {k}")
    return [bool(hit) for hit in relevance[:k]]


def _sum_of_precisions(top: Sequence[bool]) -> float:
    total, hits = 0.0, 0
    for rank, hit in enumerate(top, 1):
        if hit:
            hits += 1
            total += hits / rank
    return total


def _check(relevance: Sequence[bool], *, relevant: int, least: int = 1) -> None:
    if relevant < least:
        raise DatasetError(f"cannot score a query with {relevant} relevant images: leave it out")
    if sum(map(bool, relevance)) > relevant:
        raise DatasetError(
            f"{sum(map(bool, relevance))} hits are relevant but only {relevant} images. Remove the "
            "query from its own hits."
        )
