"""Tables of evaluation figures as rows of text, for HTML and Markdown."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from imgsearch.evaluation import comparison
from imgsearch.evaluation.run import Run

Rows: TypeAlias = tuple[list[str], list[list[str]]]
"""Column names and rows."""

MEASURES: Final = (
    "hit@1", "hit@5", "hit@10", "precision@10", "recall@10", "map@10", "ndcg@10", "mrr",
    "ap_hits@10",
)  # fmt: skip
"""The measures that a report shows first. Its full table and the JSON have all measures."""


def headlines(run: Run) -> list[str]:
    """Return the names of the run's measures that a report shows first.

    Returns all names if the run has none of `MEASURES`.
    """
    return [name for name in MEASURES if name in run.measures.metrics] or list(run.measures.metrics)


def first(runs: Mapping[str, Run]) -> Run:
    """Return the first run, which the other runs are compared with."""
    return next(iter(runs.values()))


def notes(runs: Mapping[str, Run]) -> list[str]:
    """Return one line per note of the runs, and per fact needed to reproduce them."""
    run = first(runs)
    lines = list(dict.fromkeys(line for one in runs.values() for line in one.notes))
    facts = run.to_dict()
    versions = [f"{name} {version}" for name, version in facts["versions"].items()]
    lines.append(f"versions: {', '.join(versions)}")
    lines.append(f"seed of intervals and tests: {facts['seed']}; data: {run.subject.manifest}")
    for name, one in runs.items():
        lines.append(
            f"{name}: weights {one.encoder.weights[:16] or 'none'}, preprocessing "
            f"{one.encoder.preprocessing or 'its own'}, {one.encoder.runtime or 'numpy'}"
        )
    return lines


def summary(run: Run) -> Rows:
    """Return the columns and a row for each measure, with its interval."""
    return ["measure", "mean", "95 % interval"], [
        [str(name), f"{row['mean']:.4f}", f"{row['low']:.3f} to {row['high']:.3f}"]
        for name, row in run.summary.iterrows()
    ]


def classes(run: Run) -> Rows:
    """Return the columns and a row for each class, worst first."""
    table = run.per_class
    measures = [name for name in ("hit@1", "precision@10", "map@10") if name in table.columns]
    return ["class", "queries", *measures], [
        [str(label), f"{row['queries']:.0f}", *(f"{row[name]:.3f}" for name in measures)]
        for label, row in table.iterrows()
    ]


def differences(runs: Mapping[str, Run]) -> Rows:
    """Return the columns and a row for each measure of each run compared with the first run."""
    table = comparison.table(runs, measures=headlines(first(runs)))
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
        for row in table.itertuples()
    ]


def speeds(runs: Mapping[str, Run]) -> Rows:
    """Return the columns and one row of speeds for each timed run."""
    rows: list[list[str]] = []
    for name, run in runs.items():
        if run.speed is None:
            continue
        latencies = [
            f"{time.p50 * 1e3:.1f} / {time.p95 * 1e3:.1f} / {time.p99 * 1e3:.1f} (n = {time.n})"
            for time in (run.speed.embedding, run.speed.search)
        ]
        rates = [f"{run.speed.images_a_second:,.0f}", f"{run.speed.searches_a_second:,.0f}"]
        rows.append([name, *latencies, *rates, f"{4 * run.encoder.dim:,}"])
    columns = ["model", "embedding, p50 / p95 / p99 ms", "search, p50 / p95 / p99 ms"]
    return [*columns, "images/s", "searches/s", "bytes a vector"], rows
