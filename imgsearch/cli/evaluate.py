"""evaluate: how good an encoder is on labelled images."""

from pathlib import Path
from typing import Any

import click

from imgsearch.cli import options, show
from imgsearch.settings import Settings


@click.command()
@click.argument("dataset", type=click.Path(exists=True))
@click.option(
    "--db",
    metavar="URL",
    help="Go through a collection of this store instead of exact search in memory.",
)
@click.option(
    "--queries",
    type=click.Choice(("images", "names", "captions", "changes")),
    default="images",
    show_default=True,
    help="names: the classes' names; captions: the first caption of each image, of a folder with "
    "captions.jsonl; changes: 100 images, each changed in 14 ways, look for themselves.",
)
@options.encoder
@options.index
@options.as_json
def evaluate(
    dataset: str,
    db: str | None,
    queries: str,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    index: str | None,
    metric: str | None,
    **config: Any,
) -> None:
    """Search DATASET for images of each query's class, or what --queries names, and measure.

    DATASET is a folder with train/CLASS/* and test/CLASS/*, a folder with CLASS/* (each image
    looks for the others of its class), or a csv with the columns path and label.
    """
    from imgsearch.evaluation import datasets
    from imgsearch.evaluation.questions import captioned
    from imgsearch.evaluation.run import evaluate as run_evaluation

    with options.connected(Settings.from_environment(), db), show.progress(hidden=as_json) as bars:
        run = run_evaluation(
            captioned(Path(dataset)) if queries == "captions" else datasets.load(dataset),
            model=config["model"] or "mini",
            weights=config["weights"],
            options=options.parsed(config["options"]),
            url=db,
            index=index or ("hnsw" if db else "flat"),
            metric=metric or "cosine",
            queries=queries,
            on_progress=bars.tell,
        )
    if as_json:
        show.echo_json(run.to_dict())
        return
    show.figures(run.measures.metrics, run.intervals)
    show.note(
        f"{run.measures.queries} queries, {len(run.dataset.gallery)} images, {run.encoder.model} "
        f"({run.encoder.dim}-d), indexed in {run.seconds['index']:.1f} s, "
        f"searched in {run.seconds['search']:.1f} s"
    )
    for line in run.notes:
        show.note(f"  {line}")
