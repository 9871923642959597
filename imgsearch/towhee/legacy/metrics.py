"""The metrics of Towhee 0.x for rankings, by the measures of `imgsearch.evaluation`."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from statistics import fmean
from typing import Any, Final, TypeAlias

Rows: TypeAlias = Sequence[tuple[list[Any], list[Any]]]
"""For each query, the relevant items and the ranking."""


def _mean(measure: Callable[[Any, list[bool], int], float]) -> Callable[[Rows], float]:
    def compute(rows: Rows) -> float:
        # by name, because the evaluation is above Towhee
        metrics = import_module("imgsearch.evaluation.metrics")
        return fmean(
            measure(metrics, [item in relevant for item in ranking], len(relevant))
            for relevant, ranking in rows
        )

    return compute


METRICS: Final[Mapping[str, Callable[[Rows], float]]] = {
    "mean_hit_ratio": _mean(
        lambda metrics, hits, relevant: metrics.recall_at(hits, relevant=relevant, k=len(hits))
    ),
    "mean_average_precision": _mean(
        lambda metrics, hits, _: metrics.ap_hits_at(hits, k=max(1, len(hits)))
    ),
}
"""Metric → function. The mean average precision is by Towhee's rule (`ap_hits_at`)."""
