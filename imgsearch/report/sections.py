"""Sections of an evaluation's HTML report."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from imgsearch.errors import ImgSearchError
from imgsearch.evaluation import tables
from imgsearch.evaluation.embedding_map import EmbeddingMap
from imgsearch.evaluation.results import Answer
from imgsearch.evaluation.run import Run
from imgsearch.images import MAX_PIXELS, small
from imgsearch.images.sources import read
from imgsearch.report import run_tables, svg
from imgsearch.report.html import Result, Section, Thumb, collapsed, table
from imgsearch.text import counted
from imgsearch.types import Hit

_SIDE: Final = 256  # size of a hit's thumbnail in pixels
_SMALL: Final = 72  # size of a thumbnail on the map in pixels; a map may have a thousand
_LARGEST: Final = 150  # with more classes no matrix is drawn
_FIRST: Final = 8  # classes shown outside the collapsed table
_PAIRS: Final = 15  # listed pairs of confused classes


def measures(run: Run, name: str) -> Section:
    """Return the section of measures with their intervals, as bars and as a table."""
    drawn = svg.bars(
        [
            svg.Bar(measure, run.measures.metrics[measure], *run.intervals[measure])
            for measure in run_tables.headlines(run)
        ],
        label=f"Measures of {name} with their intervals",
    )
    return Section(
        f"Measures of {name}",
        drawn + collapsed("All measures", table(*run_tables.summary(run))),
        "Lines and brackets are 95 % bootstrap intervals over the queries. Missing relevant images "
        "lower map@k but not ap_hits@k.",
    )


def compared(runs: Mapping[str, Run]) -> list[Section]:
    """Return the section that compares runs with the first one, and a quality-speed plot.

    The plot needs at least two timed runs.
    """
    sections = [
        Section(
            f"Against {next(iter(runs))}",
            table(*run_tables.differences(runs)),
            "Paired by query: the interval is of the difference; p is from the randomization "
            "test, not corrected for many comparisons.",
        )
    ]
    fast = {name: run for name, run in runs.items() if run.speed is not None}
    measure = next(
        (
            name
            for name in ("precision@10", "map@10")
            if name in run_tables.headlines(run_tables.first(runs))
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
        note = "A larger dot has more bytes a vector. The line joins the dots that no other beats."
        sections.append(Section("Quality against speed", drawn, note))
    return sections


def classes(run: Run, name: str) -> Section:
    """Return the section of classes, worst first."""
    columns, rows = run_tables.classes(run)
    body = table(columns, rows[:_FIRST]) if len(rows) > 1 else ""
    if len(rows) > _FIRST:
        body += collapsed(f"All {len(rows)} classes", table(columns, rows))
    return Section(f"Worst classes of {name}", body, "A single query does not represent its class.")


def confusion(run: Run, name: str) -> Section:
    """Return the section of confused classes, with the confusion matrix."""
    table_, title = run.confusion, f"Confused classes of {name}"
    if len(table_) < 2:
        return Section(title, "")
    pairs = tables.confused(table_, most=_PAIRS)
    rows = [(str(row.asked), str(row.found), f"{row.share:.3f}") for row in pairs.itertuples()]
    body = table(("query", "hit", "share of the hits"), rows)
    names = [str(name) for name in table_.columns]
    if len(names) <= _LARGEST:
        square = table_.reindex(names, fill_value=0.0)
        body += svg.matrix(names, square.to_numpy().tolist(), label="Confusion")
    return Section(title, body, "A row is the class of queries, a column the class of hits.")


def embedding_map(run: Run, name: str) -> Section:
    """Return the section with the embedding map and its thumbnails."""
    if run.map is None:
        return Section("Map", "")
    return drawn_map(
        run.map, run.labels, title=f"Map of the embeddings of {name}", max_pixels=run.max_pixels
    )


def drawn_map(
    embeddings: EmbeddingMap,
    labels: Mapping[str, Collection[str]],
    *,
    title: str,
    color: str = "class",
    max_pixels: int = MAX_PIXELS,
) -> Section:
    """Return the section of a map. `labels` are the labels by id, which a `color` stands for."""
    groups = {name: number for number, name in enumerate(sorted(set().union(*labels.values())))}
    places = []
    for (x, y), id_, path in zip(embeddings.places, embeddings.ids, embeddings.paths, strict=True):
        names = sorted(labels.get(id_, ()))
        caption, group = "/".join(names), groups.get(next(iter(names), ""), 0)
        places.append(svg.Place(x, y, group, caption, path, jpeg(path, _SMALL, max_pixels)))
    return Section(
        f"{title} ({embeddings.method})",
        svg.embedding_map(places, label="Map of the embeddings"),
        f"{counted(len(places), 'image')}; a color is a {color}. Point at a dot to see its image. "
        "Two dimensions cannot keep all distances.",
    )


def speed(runs: Mapping[str, Run]) -> Section:
    """Return the section with the speed of the timed runs."""
    columns, rows = run_tables.speeds(runs)
    note = "Measured on one machine at one time: compare models of this report only."
    return Section("Speed", table(columns, rows) if rows else "", note)


def notes(runs: Mapping[str, Run]) -> Section:
    """Return the section of notes about the figures."""
    rows = [(note,) for note in run_tables.notes(runs)]
    return Section("Notes on the figures", table(("",), rows))


def result(answer: Answer, run: Run, *, by: str = "") -> Result:
    """Return a query and its hits as thumbnails. `by` is the run's name, shown if not ""."""
    hits = [
        replace(
            _thumb(hit, relevant=right, max_pixels=run.max_pixels),
            caption="/".join(sorted(run.labels.get(hit.id, ()))),
        )
        for hit, right in zip(answer.hits, answer.ranking.relevance, strict=True)
    ]
    picture = jpeg(answer.query, _SIDE, run.max_pixels) if run.asked == "images" else b""
    query = Thumb(picture, answer.label or answer.query, title=answer.query)
    prefix = f"hits of {by}, " if by else ""
    return Result(query, hits, note=f"{prefix}{answer.ranking.relevant} relevant in the gallery")


def _thumb(hit: Hit, *, relevant: bool, max_pixels: int) -> Thumb:
    path = str(hit.fields.get("path", ""))
    return Thumb(
        jpeg(path, _SIDE, max_pixels), path, score=hit.score, relevant=relevant, title=path
    )


def jpeg(path: str, side: int = _SIDE, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a JPEG thumbnail of a file, or b"" if the file cannot be read."""
    try:
        return small(read(path), side=side, path=path, max_pixels=max_pixels) if path else b""
    except ImgSearchError:
        return b""
