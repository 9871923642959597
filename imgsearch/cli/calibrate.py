"""calibrate: make a model's int8 form, on images like those to come."""

from pathlib import Path
from typing import Any, Final

import click

from imgsearch import encoders
from imgsearch.cli import options, show
from imgsearch.encoders.export import calibration
from imgsearch.encoders.export.encoder import ExportedEncoder
from imgsearch.errors import ConfigError, ImageError, SourceError
from imgsearch.images import sources
from imgsearch.library.embedding import model_input
from imgsearch.wording import counted

_RUNNING: Final = {"runtime": "openvino", "precision": "f32"}


@click.command()
@click.argument("source", nargs=-1, required=True)
@click.option(
    "--samples",
    type=click.IntRange(min=calibration.LEAST),
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
    """Make the int8 form of a model, for this machine.

    It is fitted to the images of each SOURCE. On many CPUs int8 is faster than bf16 and less
    accurate: the output has the cosines to float32. No command uses the int8 form unless
    --option precision=int8 is given.
    """
    if model is None:
        raise click.UsageError("name a --model: lite and classic have no int8 form")
    given = {**(options.parsed(config["options"]) or {}), **_RUNNING}
    encoder = encoders.load(model, weights=weights, options=given)
    if not isinstance(encoder, ExportedEncoder):
        raise ConfigError(f"{model} has no export to calibrate, or a reduction behind it")
    paths = sources.spread([each.path for each in sources.references(source)], samples)
    accuracy = calibration.write(encoder.folder, _prepared(encoder, paths))
    click.echo(
        f"{model} in int8, on {counted(accuracy.samples, 'image')}: cosine to float32 "
        f"{accuracy.least:.4f} at least, {accuracy.median:.4f} in the median"
    )
    show.note("next: give --option precision=int8 to add, search or evaluate")


def _prepared(encoder: ExportedEncoder, paths: list[str]) -> list[Any]:
    """Return the model's inputs of the images that can be used; say what could not."""
    inputs: list[Any] = []
    with show.progress(hidden=False) as bars:
        for place, path in enumerate(paths, 1):
            try:
                inputs.append(model_input(encoder, sources.read(path), path))
            except (SourceError, ImageError) as error:
                show.note(show.printable(str(error)))
            bars.tell("reading", place, len(paths))
    return inputs
