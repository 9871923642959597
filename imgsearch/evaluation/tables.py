"""Tables of a run as pandas data frames, for notebooks and reports."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imgsearch.evaluation.metrics import Measures, interval
from imgsearch.evaluation.results import Answer, Labels
from imgsearch.library.data_frames import import_pandas

if TYPE_CHECKING:
    import pandas as pd


def summary(measures: Measures, intervals: Mapping[str, tuple[float, float]]) -> "pd.DataFrame":
    """Return a row for each measure: its `mean`, and `low` and `high` of the 95 % interval."""
    pd = import_pandas()
    rows = [
        {"measure": name, "mean": mean, "low": intervals[name][0], "high": intervals[name][1]}
        for name, mean in measures.metrics.items()
    ]
    return pd.DataFrame(rows, columns=["measure", "mean", "low", "high"]).set_index("measure")


def per_query(answers: Sequence[Answer], measures: Measures) -> "pd.DataFrame":
    """Return a row for each scored query: `query`, `label`, `relevant` (R) and the measures.

    Queries without a relevant image are left out, as in the means.
    """
    pd = import_pandas()
    scored = [answer for answer in answers if answer.ranking.relevant > 0]
    columns = {
        "query": [answer.query for answer in scored],
        "label": [answer.label for answer in scored],
        "relevant": [answer.ranking.relevant for answer in scored],
    }
    return pd.DataFrame({**columns, **measures.per_query}).set_index("query")


def per_class(answers: Sequence[Answer], measures: Measures, *, seed: int) -> "pd.DataFrame":
    """Return a row for each class: the number of `queries`, and the means of the measures.

    `low` and `high` are the 95 % interval of map@k at the largest k over the class's queries. They
    are NaN for a single query. Rows are sorted by that measure, worst first, then by name.
    """
    pd = import_pandas()
    table = per_query(answers, measures)
    table = table[table["label"] != ""]
    name = headline(measures.metrics)
    rows = []
    for label, part in table.groupby("label", sort=True):
        values = part[name].to_numpy()
        low, high = interval(values, rng=seed) if len(values) > 1 else (float("nan"),) * 2
        means = part.drop(columns=["label", "relevant"]).mean().to_dict()
        rows.append({"label": label, "queries": len(part), **means, "low": low, "high": high})
    columns = ["label", "queries", *measures.metrics, "low", "high"]
    classes = pd.DataFrame(rows, columns=columns).set_index("label")
    return classes.sort_values([name, "label"], kind="stable")


def confusion(answers: Sequence[Answer], labels: Labels) -> "pd.DataFrame":
    """Return the confusion matrix: a row and a column for each class.

    A cell is the share of the column's class among all hits of the row's queries. An image with
    several classes counts in equal parts for each. The row of a class without hits is all zeros.
    """
    pd = import_pandas()
    counts: dict[str, dict[str, float]] = {}
    for answer in answers:
        if not answer.label:
            continue
        row = counts.setdefault(answer.label, defaultdict(float))
        for hit in answer.hits:
            classes = labels.get(hit.id, frozenset())
            for name in classes:
                row[name] += 1 / len(classes)
    names = sorted({*counts, *(name for row in counts.values() for name in row)})
    shares = [
        [row.get(name, 0.0) / max(sum(row.values()), 1e-12) for name in names]
        for _, row in sorted(counts.items())
    ]
    return pd.DataFrame(shares, index=pd.Index(sorted(counts), name="asked"), columns=names)


def confused(table: "pd.DataFrame", *, most: int = 20) -> "pd.DataFrame":
    """Return the most confused pairs of classes: `asked`, `found`, `share`, largest share first."""
    pd = import_pandas()
    pairs: list[tuple[Any, Any, float]] = [
        (wanted, actual, float(share))
        for wanted, row in table.iterrows()
        for actual, share in row.items()
        if wanted != actual and share > 0
    ]
    pairs.sort(key=lambda pair: (-pair[2], pair[0], pair[1]))
    return pd.DataFrame(pairs[:most], columns=["asked", "found", "share"])


def worst(answers: Sequence[Answer], measures: Measures, *, most: int = 12) -> list[Answer]:
    """Return the `most` scored queries with the lowest map@k at the largest k, worst first."""
    scored = [answer for answer in answers if answer.ranking.relevant > 0]
    values = measures.per_query[headline(measures.metrics)]
    order = sorted(range(len(scored)), key=lambda row: (values[row], scored[row].query))
    return [scored[row] for row in order[:most]]


def headline(metrics: Mapping[str, float]) -> str:
    """Return the name of the measure map@k with the largest measured k."""
    return max((name for name in metrics if name.startswith("map@")), key=lambda n: int(n[4:]))
