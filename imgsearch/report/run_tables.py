"""An evaluation's figures as rows of text, for a page and for Markdown."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from imgsearch.evaluation import comparison
from imgsearch.evaluation.run import Run

Rows: TypeAlias = tuple[list[str], list[list[str]]]
"""The columns' names, and the rows."""

MEASURES: Final = (
    "hit@1", "hit@5", "hit@10", "precision@10", "recall@10", "map@10", "ndcg@10", "mrr",
    "ap_hits@10",
)  # fmt: skip
"""What a report shows first; the others stand in its table and in the JSON."""


def shown(run: Run) -> list[str]:
    """Return the names of the measures that a report shows first."""
    return [name for name in MEASURES if name in run.measures.metrics] or list(run.measures.metrics)


def first(runs: Mapping[str, Run]) -> Run:
    """Return the run that the others are held against."""
    return next(iter(runs.values()))


def notes(runs: Mapping[str, Run]) -> list[str]:
    """Return what has to be read beside the figures, a line each."""
    run = first(runs)
    told = list(dict.fromkeys(line for each in runs.values() for line in each.notes))
    facts = run.to_dict()
    told.append("versions: " + ", ".join(f"{name} {it}" for name, it in facts["versions"].items()))
    told.append(f"seed of intervals and tests: {facts['seed']}; data: {run.subject.manifest}")
    for name, each in runs.items():
        told.append(
            f"{name}: weights {each.encoder.weights[:16] or 'none'}, preprocessing "
            f"{each.encoder.preprocessing or 'its own'}, {each.encoder.runtime or 'numpy'}"
        )
    return told


def summary(run: Run) -> Rows:
    """Return every measure with its interval."""
    return ["measure", "mean", "95 % interval"], [
        [str(name), f"{row['mean']:.4f}", f"{row['low']:.3f} to {row['high']:.3f}"]
        for name, row in run.summary.iterrows()
    ]


def classes(run: Run) -> Rows:
    """Return the classes, the worst first."""
    made = run.per_class
    measures = [name for name in ("hit@1", "precision@10", "map@10") if name in made.columns]
    return ["class", "queries", *measures], [
        [str(label), f"{row['queries']:.0f}", *(f"{row[name]:.3f}" for name in measures)]
        for label, row in made.iterrows()
    ]


def differences(runs: Mapping[str, Run]) -> Rows:
    """Return each run against the first."""
    made = comparison.table(runs, measures=shown(first(runs)))
    return ["measure", "of", "mean", "against", "mean", "difference", "95 % interval", "p"], [
        [
            str(row.measure),
            str(row.second),
            f"{row.b:.3f}",
            str(row.first),
            f"{row.a:.3f}",
            f"{row.difference:+.3f}",
            f"{row.low:+.3f} to {row.high:+.3f}",
            f"{row.p:.4f}",
        ]
        for row in made.itertuples()
    ]


def speeds(runs: Mapping[str, Run]) -> Rows:
    """Return how fast each run was, of those that were timed."""
    rows: list[list[str]] = []
    for name, run in runs.items():
        if run.speed is None:
            continue
        one = [
            f"{each.p50 * 1e3:.1f} / {each.p95 * 1e3:.1f} / {each.p99 * 1e3:.1f} (n = {each.n})"
            for each in (run.speed.embedding, run.speed.search)
        ]
        many = [f"{run.speed.images_a_second:,.0f}", f"{run.speed.searches_a_second:,.0f}"]
        rows.append([name, *one, *many, f"{4 * run.encoder.dim:,}"])
    columns = ["model", "embedding, p50 / p95 / p99 ms", "search, p50 / p95 / p99 ms"]
    return [*columns, "images/s", "searches/s", "bytes a vector"], rows
