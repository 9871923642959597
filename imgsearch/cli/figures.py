"""Evaluation results in the terminal, and the lower limits of --fail-under."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click

from imgsearch.cli import show
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.evaluation.run import Run
    from imgsearch.evaluation.speed import Speed

_HEADLINE: Final = ("hit@1", "hit@10", "precision@10", "recall@10", "map@10", "ap_hits@10")
_WORST: Final = 5  # classes shown


def show_runs(runs: "Mapping[str, Run]") -> None:
    """Print the results of one run, or of several runs side by side, compared with the first."""
    if len(runs) == 1:
        show_run(next(iter(runs.values())))
        return
    from imgsearch.evaluation import comparison

    names = list(runs)
    rows = [
        (measure, *(f"{run.measures.metrics[measure]:.3f}" for run in runs.values()))
        for measure in _HEADLINE
        if measure in runs[names[0]].measures.metrics
    ]
    show.table(("measure", *names), rows)
    table = comparison.table(runs, measures=_HEADLINE)
    show.table(
        ("measure", "difference", "95 % interval", "p", "of", "against"),
        [
            (
                str(row.measure),
                f"{row.difference:+.3f}",
                f"{row.low:+.3f} to {row.high:+.3f}",
                f"{row.p:.4f}",
                str(row.second),
                str(row.first),
            )
            for row in table.itertuples()
        ],
    )
    for name, run in runs.items():
        show.note(_about(run))
        if run.speed is not None:
            show.note(f"  {name}: {speed_line(run.speed)}")
    for line in dict.fromkeys(line for run in runs.values() for line in run.notes):
        show.note(f"  {line}")


def show_measures(run: "Run") -> None:
    """Print the headline measures with their confidence intervals."""
    rows = [
        (name, f"{run.measures.metrics[name]:.3f}", "{:.3f} to {:.3f}".format(*run.intervals[name]))
        for name in _HEADLINE
        if name in run.measures.metrics
    ]
    show.table(("measure", "mean", "95 % interval"), rows)


def show_run(run: "Run") -> None:
    """Print the results of one run."""
    show_measures(run)
    worst = run.per_class
    if len(worst) > 1:
        from imgsearch.evaluation.tables import headline

        name = headline(run.measures.metrics)
        rows = worst.head(_WORST).iterrows()
        classes = ", ".join(f"{label} {row[name]:.2f}" for label, row in rows)
        show.note(f"worst classes by {name}: {show.printable(classes)}")
    show.note(_about(run))
    if run.speed is not None:
        show.note(f"  {speed_line(run.speed)}")
    for line in run.notes:
        show.note(f"  {line}")


def speed_line(speed: "Speed") -> str:
    """Return a line with the latency of one query and the throughput of many."""
    latencies = [
        f"{name} {latency.p50 * 1e3:.1f} / {latency.p95 * 1e3:.1f} / {latency.p99 * 1e3:.1f} ms"
        for name, latency in (("embedding", speed.embedding), ("search", speed.search))
    ]
    return (
        f"one query, p50 / p95 / p99 of {speed.search.n}: {', '.join(latencies)}; "
        f"many: {speed.images_a_second:,.0f} images/s embedded, "
        f"{speed.searches_a_second:,.0f} searches/s"
    )


def floors(words: Sequence[str]) -> dict[str, float]:
    """Parse ``MEASURE=NUMBER`` arguments into a mapping.

    Raises:
        click.BadParameter: an argument has another form.
    """
    limits = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise click.BadParameter(
                f"{word!r} is not MEASURE=NUMBER, e.g. precision@10=0.55",
                param_hint="--fail-under",
            )
        limits[name.strip()] = number
    return limits


def missed(run: "Run", wanted: Mapping[str, float]) -> list[str]:
    """Return a line for each measure that is below its limit in `wanted`.

    Raises:
        click.BadParameter: a measure does not exist.
    """
    metrics = run.measures.metrics
    unknown = [name for name in wanted if name not in metrics]
    if unknown:
        raise click.BadParameter(
            f"unknown measure {unknown[0]!r}; known: {', '.join(metrics)}",
            param_hint="--fail-under",
        )
    return [
        f"{name} is {metrics[name]:.4f}, wanted at least {floor:g}"
        for name, floor in wanted.items()
        if not metrics[name] >= floor
    ]


def _about(run: "Run") -> str:
    times = {"index": "indexed", "search": "searched"}
    durations = ", ".join(f"{times[stage]} in {run.seconds[stage]:.1f} s" for stage in run.seconds)
    return (
        f"{counted(run.measures.queries, 'query')}, {counted(run.subject.gallery, 'image')}, "
        f"{run.encoder.model} "
        f"({run.encoder.dim}-d), {durations}"
    )
