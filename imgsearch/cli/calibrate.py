"""calibrate: quantize a model to int8 with sample images."""

from pathlib import Path
from typing import Any, Final

import click

from imgsearch.cli import options, show
from imgsearch.images import sources
from imgsearch.text import counted

_LEAST: Final = 10  # images, as in `library.calibration`, whose import would load encoders


@click.command()
@click.argument("source", nargs=-1, required=True)
@click.option(
    "--samples",
    type=click.IntRange(min=_LEAST),
    default=300,
    show_default=True,
    help="Limit on the images used, spread evenly over SOURCE.",
)
@options.encoder
def calibrate(
    source: tuple[str, ...],
    samples: int,
    model: str | None,
    weights: Path | None,
    **config: Any,
) -> None:
    """Create an int8 version of a model on this machine.

    The quantization is calibrated with the images of each SOURCE. On many CPUs int8 is faster than
    bf16 but less accurate; the command prints the cosine similarity to float32. Other commands use
    the int8 version only with --option precision=int8.
    """
    from imgsearch.library.calibration import calibrate as calibrate_model

    if model is None:
        raise click.UsageError("name a --model; lite and classic have no int8 form")
    paths = sources.spread([reference.path for reference in sources.references(source)], samples)
    with show.progress(hidden=False) as bars:
        accuracy = calibrate_model(
            paths,
            model,
            weights=weights,
            options=options.parse_options(config["options"]),
            on_progress=lambda done, total: bars.update("reading", done, total),
            on_failure=lambda reason: show.note(show.printable(reason)),
        )
    click.echo(
        f"{model} in int8, on {counted(accuracy.samples, 'image')}: cosine to float32 "
        f"{accuracy.least:.4f} at least, {accuracy.median:.4f} in the median"
    )
    show.note("next: use --option precision=int8 with add, search or evaluate")
