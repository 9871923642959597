"""threshold: choose a minimum score for relevant hits, from labeled images."""

from pathlib import Path
from typing import Any

import click

from imgsearch.cli import options, show
from imgsearch.cli.option_values import Number
from imgsearch.errors import PrecisionUnreached
from imgsearch.settings import Settings
from imgsearch.text import counted


@click.command()
@click.argument("labeled", required=False, type=click.Path(exists=True))
@options.store
@options.encoder
@options.fields
@click.option(
    "--precision",
    type=Number(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    help="Wanted share of right hits.",
)
@options.as_json
def threshold(
    labeled: str | None,
    db: str | None,
    collection: str,
    precision: float,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    **config: Any,
) -> None:
    """Measure the minimum score of relevant hits, for --min-score auto.

    LABELED is a dataset as for `evaluate`; by default the library's own labels are used. Each image
    is a query for images with its label. If the encoder embeds texts, each label name is also a
    query. Half of the queries are for calibration, the other half for validation. At the
    threshold, PRECISION is reached twice: as the share of relevant hits, and as the share of
    queries with hits that have a relevant one, if half of the queries were for a label that the
    library lacks. Image and text queries have separate thresholds; a query with both uses the lower
    one.
    """
    from imgsearch.datasets.dataset import load as load_dataset
    from imgsearch.evaluation.label_thresholds import thresholds

    config["options"] = options.parse_options(config["options"])
    dataset = load_dataset(Path(labeled)) if labeled else None
    with (
        options.open_library(
            Settings.from_environment(), db, collection=collection, **config
        ) as opened,
        show.progress(hidden=as_json) as bars,
    ):
        try:
            thresholds_of, missing = thresholds(
                opened.collection,
                opened.encoder,
                dataset,
                precision=precision,
                on_progress=bars.update,
            )
        except PrecisionUnreached:
            opened.thresholds.forget_min_scores(precision)
            raise
        measured = {kind: result.to_dict() for kind, result in thresholds_of.items()}
        kept = opened.collection.keeps_notes
        if kept:
            opened.thresholds.keep_min_scores(measured)
    if as_json:
        key = "kept" if kept else "measured"
        show.echo_json({key: measured, "missing": missing})
        return
    rows = []
    for kind, facts in measured.items():
        checked = facts["checked"]
        rows.append(
            (
                kind,
                f"{facts['threshold']:.4f}",
                show.figure(checked, "precision"),
                show.figure(checked, "recall"),
                f"{counted(checked['queries'], 'query')}, {counted(checked['pairs'], 'hit')}",
            )
        )
    show.table(("queries", "threshold", "precision", "recall of 100 hits", "measured on"), rows)
    for kind, facts in measured.items():
        absent = facts["no_match"]
        show.note(
            f"{kind} queries: {show.figure(absent, 'answered')} have a relevant hit; "
            f"{show.figure(absent, 'rejected')} have no hit if the images of their label are left "
            "out of the library"
        )
    show.note(
        f"chosen for a precision of {precision:g} on the other half of the queries; in brackets "
        "95 % bootstrap intervals over the queries"
    )
    if not kept:
        show.note(
            "no threshold is kept: the collection is read-only, or does not note which encoder "
            "made its vectors. Use --min-score with a number."
        )
    for kind, why in missing.items():
        show.note(f"no threshold is kept for {kind} queries: {why}")
