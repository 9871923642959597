"""plan: estimate the needs of a large collection."""

from pathlib import Path
from typing import Any

import click

from imgsearch.cli import options, show
from imgsearch.evaluation.capacity import SAMPLE


@click.command()
@click.argument("source", nargs=-1)
@click.option("--images", type=click.IntRange(min=1), help="Number of images.")
@options.encoder
@click.option("--dimension", "dim", type=click.IntRange(min=1), help="Numbers in a vector.")
@click.option("--image-bytes", type=float, help="Mean size of a file in bytes.")
@click.option(
    "--images-per-second",
    "rate",
    type=float,
    help="Images that one core, or one GPU, embeds in a second.",
)
@click.option(
    "--cores",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Cores that embed, build the index and serve searches.",
)
@click.option(
    "--gpus",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs that embed, if the model runs on a GPU.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=SAMPLE,
    show_default=True,
    help="Images of SOURCE that are embedded to measure them.",
)
@options.url_hosts
@options.as_json
def plan(
    source: tuple[str, ...],
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    model: str | None,
    weights: Path | None,
    **figures: Any,
) -> None:
    """Estimate storage, hours, memory and serving of a collection.

    \b
        imgsearch plan --images 100000000 --model clip_vit_b32
        imgsearch plan ~/photos --model resnet50

    With SOURCE, as for `imgsearch add`, a sample of its images is embedded, and their size, speed
    and dimension are used. Nothing is stored. Without it the figures of docs/capacity.md are used.
    """  # noqa: D301  # \b keeps click from wrapping the examples
    from imgsearch.evaluation.dry_run import plan as estimate

    if not source and figures["images"] is None:
        raise click.UsageError("give --images, or a SOURCE")
    figures["options"] = options.parse_options(figures["options"])
    if model:
        figures["model"] = model
    result = estimate(source=list(source) or None, weights=weights, **figures)
    if as_json:
        show.echo_json(result.to_dict())
        return
    show.note(f"{result.images:,} images, {result.model}, {result.dim:,} dimensions")
    show.table(("", "estimate"), result.rows())
    show.note(f"bytes of a file: {result.image_bytes:,.0f} ({result.image_source})")
    if result.rate is not None:
        show.note(f"images/s of a {result.worker}: {result.rate:,.1f} ({result.speed_source})")
    show.note("Other constants: docs/capacity.md")
