"""reduce: fit a dimensionality reduction for an encoder's vectors."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imgsearch.cli import fit_options, options, show
from imgsearch.errors import ConfigError
from imgsearch.images import sources
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.library.reduction import Reduction

_METHODS: Final = ("pca", "random")  # as in `library.reduction`, whose import would load Towhee


@click.command()
@click.argument("source", nargs=-1)
@click.option(
    "--dim",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Numbers of a reduced vector.",
)
@fit_options.target("File to write the reduction to.")
@click.option(
    "--method",
    type=click.Choice(_METHODS),
    default=_METHODS[0],
    show_default=True,
    help="Kind of reduction.",
)
@fit_options.seed
@fit_options.samples(
    "Limit on the images used, spread evenly over SOURCE.", default=10_000, least=1
)
@fit_options.force
@options.encoder
def reduce(
    source: tuple[str, ...],
    dim: int,
    target: Path,
    method: str,
    seed: int,
    samples: int,
    force: bool,  # noqa: FBT001 - click passes flags by name
    model: str | None,
    weights: Path | None,
    **config: Any,
) -> None:
    """Fit a dimensionality reduction for an encoder's vectors.

    The reduction is fitted to the images of each SOURCE.

    pca keeps the directions with the most variance. Use images similar to the library's, many more
    than --dim, and never the queries of an evaluation. random draws a random projection from --seed
    and reads no images.
    """
    if method == "pca" and not source:
        raise click.UsageError("pca is fitted to images: name a SOURCE")
    from imgsearch.library.models import DEFAULT
    from imgsearch.library.reduction import draw

    _check_target(target, force=force)
    given = options.parse_options(config["options"])
    if "reduction" in (given or {}):
        raise click.BadParameter("the vectors would be reduced twice", param_hint="--option")
    encoder: dict[str, Any] = {"model": model or DEFAULT, "weights": weights, "options": given}
    if method == "random":
        reduction = draw(dim, seed=seed, **encoder)
        if source:
            show.note("SOURCE was not read, because --method random needs no images")
    else:
        paths = sources.spread(
            [reference.path for reference in sources.references(source)], samples
        )
        reduction = _fit(paths, dim, encoder)
    reduction.save(target)
    _print_summary(reduction)
    words = [f"--option={word}" for word in (*config["options"], f"reduction={target.resolve()}")]
    with_weights = [f"--weights={weights}"] if weights else []
    command = shlex.join(["--model", encoder["model"], *with_weights, *words])
    show.note(f"next: imgsearch add SOURCE {show.printable(command)}")


def _check_target(target: Path, *, force: bool) -> None:
    """Check that the target file can be written, before the computation starts.

    Raises:
        ConfigError: the file exists, its folder does not exist, or its suffix is wrong.
    """
    from imgsearch.library.reduction import SUFFIX

    if target.suffix.lower() != SUFFIX:
        raise ConfigError(f"the file of a reduction is named NAME{SUFFIX}, not {target}")
    fit_options.check_new(target, force=force)
    if not target.parent.is_dir():
        raise ConfigError(f"{target} cannot be written: the folder {target.parent} does not exist")


def _fit(paths: Sequence[str], dim: int, encoder: dict[str, Any]) -> "Reduction":
    """Fit a PCA to images, and print the number of unusable images."""
    from imgsearch.library.reduction import fit

    errors: list[str] = []
    try:
        with show.progress(hidden=False) as bars:
            return fit(
                paths,
                dim,
                **encoder,
                on_progress=lambda done, total, failed: bars.update(
                    "embedding", done, total, f"{failed} failed"
                ),
                on_failure=errors.append,
            )
    finally:
        if errors:
            show.note(f"{len(errors)} of {len(paths)} images could not be used; the first:")
            show.note(f"  {show.printable(errors[0])}")


def _print_summary(reduction: "Reduction") -> None:
    lengths = f"{reduction.d_in} → {reduction.dim} dimensions"
    if reduction.kind == "pca":
        kept = f"{reduction.kept:.1%} of the variance is kept"
        click.echo(f"{lengths}, fitted to {counted(reduction.samples, 'image')}: {kept}")
    else:
        click.echo(f"{lengths}, drawn at random from seed {reduction.seed}")
