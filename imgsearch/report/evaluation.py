"""Evaluation reports as HTML, Markdown and JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from imgsearch.evaluation import comparison
from imgsearch.evaluation.run import Run
from imgsearch.report import run_tables, sections
from imgsearch.report.html import results_page
from imgsearch.text import counted

_WORST: Final = 12  # worst queries of a run that the page shows


def page(runs: Mapping[str, Run]) -> str:
    """Return an HTML page about runs by name. Further runs are compared with the first."""
    run, several = run_tables.first(runs), len(runs) > 1
    builders = (sections.measures, sections.classes, sections.confusion, sections.embedding_map)
    parts = [
        *(sections.compared(runs) if several else ()),
        *(build(one, name) for build in builders for name, one in runs.items()),
        sections.speed(runs),
        sections.notes(runs),
    ]
    encoders = [f"{one.encoder.model} ({one.encoder.dim}-d)" for one in runs.values()]
    facts = {
        "dataset": f"{run.subject.name} · {run.subject.manifest[:12]}",
        "images": f"{run.subject.gallery:,} in the gallery, "
        f"{counted(run.measures.queries, 'query')}",
        "encoder": ", ".join(encoders),
        "index": f"{run.index}, {run.metric}, {run.url}",
        **{name: f"{run.measures.metrics[name]:.3f}" for name in run_tables.headlines(run)[:1]},
    }
    return results_page(
        f"{' and '.join(runs)} on {run.subject.name}",
        [
            sections.result(answer, one, by=name if several else "")
            for name, one in runs.items()
            for answer in one.worst(_WORST)
        ],
        facts=facts,
        sections=[part for part in parts if part.body],
    )


def markdown(runs: Mapping[str, Run]) -> str:
    """Return the figures and notes of runs by name, as Markdown."""
    first, run = next(iter(runs.items()))
    parts = [f"# {run.subject.name}: {', '.join(runs)}", ""]
    for name, one in runs.items():
        parts += [f"## {name}", "", *_grid(*run_tables.summary(one)), ""]
    if len(runs) > 1:
        parts += [f"## Against {first}", "", *_grid(*run_tables.differences(runs)), ""]
    for name, one in runs.items():
        parts += [f"## Classes by {name}", "", *_grid(*run_tables.classes(one)), ""]
    parts += ["## Speed", "", *_grid(*run_tables.speeds(runs)), "", "## Notes", ""]
    parts += [f"- {line}" for line in run_tables.notes(runs)]
    return "\n".join([*parts, ""])


def plain(runs: Mapping[str, Run]) -> dict[str, Any]:
    """Return JSON-serializable figures. For several runs they include the differences."""
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
