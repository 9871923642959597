"""The parts of a report's page."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from imgsearch.errors import ImgSearchError
from imgsearch.evaluation import tables
from imgsearch.evaluation.results import Answer
from imgsearch.evaluation.run import Run
from imgsearch.images import small
from imgsearch.images.sources import read
from imgsearch.report import run_tables, svg
from imgsearch.report.html import Result, Section, Thumb, folded, table
from imgsearch.types import Hit
from imgsearch.wording import counted

_SIDE: Final = 256  # pixels of a hit's thumbnail
_SMALL: Final = 72  # of one on the map, where there may be a thousand
_LARGEST: Final = 150  # classes up to which a matrix is drawn
_FIRST: Final = 8  # classes shown before somebody asks for all
_PAIRS: Final = 15  # of classes that are confused


def measures(run: Run, name: str) -> Section:
    """Return the measures with their intervals, drawn and in a table."""
    drawn = svg.bars(
        [
            svg.Bar(each, run.measures.metrics[each], *run.intervals[each])
            for each in run_tables.shown(run)
        ],
        label=f"Measures of {name} with their intervals",
    )
    return Section(
        f"Measures of {name}",
        drawn + folded("All measures", table(*run_tables.summary(run))),
        "Lines and brackets are 95 % bootstrap intervals over the queries. ap_hits@k forgives what "
        "was not found; map@k does not.",
    )


def compared(runs: Mapping[str, Run]) -> list[Section]:
    """Return each run against the first, and quality against speed."""
    sections = [
        Section(
            f"Against {next(iter(runs))}",
            table(*run_tables.differences(runs)),
            "Paired by query: the interval is of the difference; p is that of the randomisation "
            "test, not corrected for many comparisons.",
        )
    ]
    fast = {name: run for name, run in runs.items() if run.speed is not None}
    measure = next(
        (
            name
            for name in ("precision@10", "map@10")
            if name in run_tables.shown(run_tables.first(runs))
        ),
        "",
    )
    if len(fast) > 1 and measure:
        largest = max(run.encoder.dim for run in fast.values())
        drawn = svg.points(
            [
                svg.Point(
                    name,
                    run.speed.images_a_second if run.speed else 0.0,
                    run.measures.metrics[measure],
                    run.encoder.dim / largest,
                    f"{name}: {measure} {run.measures.metrics[measure]:.3f}, "
                    f"{4 * run.encoder.dim:,} bytes a vector",
                )
                for name, run in fast.items()
            ],
            x="images a second, embedded on all cores",
            y=measure,
            label="Quality against speed",
        )
        note = "The larger the dot, the more bytes a vector; the line joins those that none beats."
        sections.append(Section("Quality against speed", drawn, note))
    return sections


def classes(run: Run, name: str) -> Section:
    """Return the classes, the worst first."""
    columns, rows = run_tables.classes(run)
    body = table(columns, rows[:_FIRST]) if len(rows) > 1 else ""
    if len(rows) > _FIRST:
        body += folded(f"All {len(rows)} classes", table(columns, rows))
    return Section(f"Worst classes of {name}", body, "A single query tells little of its class.")


def confusion(run: Run, name: str) -> Section:
    """Return which classes are found for which."""
    found, title = run.confusion, f"What {name} confuses"
    if len(found) < 2:
        return Section(title, "")
    pairs = tables.confused(found, most=_PAIRS)
    rows = [(str(row.asked), str(row.found), f"{row.share:.3f}") for row in pairs.itertuples()]
    body = table(("asked for", "found", "share of the hits"), rows)
    names = [str(name) for name in found.columns]
    if len(names) <= _LARGEST:
        square = found.reindex(names, fill_value=0.0)
        body += svg.matrix(names, square.to_numpy().tolist(), label="Confusion")
    return Section(title, body, "A row is a class that was asked for, a column what was found.")


def embedding_map(run: Run, name: str) -> Section:
    """Return the map, with thumbnails."""
    if run.map is None:
        return Section("Map", "")
    groups = {name: number for number, name in enumerate(sorted(set().union(*run.labels.values())))}
    placed = []
    for (x, y), id_, path in zip(run.map.places, run.map.ids, run.map.paths, strict=True):
        named = sorted(run.labels.get(id_, ()))
        about, group = "/".join(named), groups.get(next(iter(named), ""), 0)
        placed.append(svg.Place(x, y, group, about, path, _jpeg(path, _SMALL, run.max_pixels)))
    return Section(
        f"Map of the embeddings of {name} ({run.map.method})",
        svg.embedding_map(placed, label="Map of the embeddings"),
        f"{counted(len(placed), 'image')}; a colour is a class; rest on a point to see its "
        f"image. Two axes "
        "cannot keep all distances.",
    )


def speed(runs: Mapping[str, Run]) -> Section:
    """Return how fast it was."""
    columns, rows = run_tables.speeds(runs)
    note = "Of this machine at that time; compare ratios of one run only."
    return Section("Speed", table(columns, rows) if rows else "", note)


def notes(runs: Mapping[str, Run]) -> Section:
    """Return what has to be read with the figures."""
    return Section(
        "To be read with the figures", table(("",), [(each,) for each in run_tables.notes(runs)])
    )


def result(answer: Answer, run: Run, *, by: str = "") -> Result:
    """Return one query with what was found, as thumbnails; `by` names who found it."""
    hits = [
        replace(
            _thumb(hit, relevant=right, max_pixels=run.max_pixels),
            caption="/".join(sorted(run.labels.get(hit.id, ()))),
        )
        for hit, right in zip(answer.hits, answer.ranking.relevance, strict=True)
    ]
    picture = _jpeg(answer.query, _SIDE, run.max_pixels) if run.asked == "images" else b""
    query = Thumb(picture, answer.label or answer.query, title=answer.query)
    found = f"found by {by}, " if by else ""
    return Result(query, hits, note=f"{found}{answer.ranking.relevant} to find")


def _thumb(hit: Hit, *, relevant: bool, max_pixels: int) -> Thumb:
    path = str(hit.fields.get("path", ""))
    jpeg = _jpeg(path, _SIDE, max_pixels)
    return Thumb(jpeg, path, score=hit.score, relevant=relevant, title=path)


def _jpeg(path: str, side: int, max_pixels: int) -> bytes:
    """Return a thumbnail; nothing where the file cannot be read any more."""
    try:
        return small(read(path), side=side, path=path, max_pixels=max_pixels) if path else b""
    except ImgSearchError:
        return b""
