"""An evaluation as a page to look at, as Markdown, and as plain values."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from imgsearch.evaluation import comparison
from imgsearch.evaluation.run import Run
from imgsearch.report import run_tables, sections
from imgsearch.report.html import results_page
from imgsearch.wording import counted

_WORST: Final = 12  # queries shown of each run


def page(runs: Mapping[str, Run]) -> str:
    """Return an HTML page of one run, or of several, each against the first; by their names."""
    run, several = run_tables.first(runs), len(runs) > 1
    looks = (sections.measures, sections.classes, sections.confusion, sections.embedding_map)
    parts = [
        *(sections.compared(runs) if several else ()),
        *(look(each, name) for look in looks for name, each in runs.items()),
        sections.speed(runs),
        sections.notes(runs),
    ]
    encoders = [f"{each.encoder.model} ({each.encoder.dim}-d)" for each in runs.values()]
    facts = {
        "dataset": f"{run.subject.name} · {run.subject.manifest[:12]}",
        "images": f"{run.subject.gallery:,} in the gallery, "
        f"{counted(run.measures.queries, 'query')}",
        "encoder": ", ".join(encoders),
        "index": f"{run.index}, {run.metric}, {run.url}",
        **{each: f"{run.measures.metrics[each]:.3f}" for each in run_tables.shown(run)[:1]},
    }
    return results_page(
        f"{' and '.join(runs)} on {run.subject.name}",
        [
            sections.result(answer, each, by=name if several else "")
            for name, each in runs.items()
            for answer in each.worst(_WORST)
        ],
        facts=facts,
        sections=[part for part in parts if part.body],
    )


def markdown(runs: Mapping[str, Run]) -> str:
    """Return the figures as Markdown, with what a reader has to know beside them."""
    name, run = next(iter(runs.items()))
    parts = [f"# {run.subject.name}: {', '.join(runs)}", ""]
    for each, one in runs.items():
        parts += [f"## {each}", "", *_grid(*run_tables.summary(one)), ""]
    if len(runs) > 1:
        parts += [f"## Against {name}", "", *_grid(*run_tables.differences(runs)), ""]
    for each, one in runs.items():
        parts += [f"## Classes by {each}", "", *_grid(*run_tables.classes(one)), ""]
    parts += ["## Speed", "", *_grid(*run_tables.speeds(runs)), "", "## Notes", ""]
    parts += [f"- {line}" for line in run_tables.notes(runs)]
    return "\n".join([*parts, ""])


def plain(runs: Mapping[str, Run]) -> dict[str, Any]:
    """Return what goes into JSON: one run's figures, or those of each and their differences."""
    if len(runs) == 1:
        return next(iter(runs.values())).to_dict()
    compared = comparison.table(runs, measures=list(next(iter(runs.values())).measures.metrics))
    return {
        "runs": {name: run.to_dict() for name, run in runs.items()},
        "differences": compared.to_dict(orient="records"),
    }


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines]
