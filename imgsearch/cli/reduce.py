"""reduce: fit what makes an encoder's vectors shorter."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from imgsearch import encoders
from imgsearch.cli import options, show
from imgsearch.encoders import Encoder
from imgsearch.encoders.reduction.fit import KINDS, SUFFIX, Reduction, told
from imgsearch.errors import ConfigError
from imgsearch.images import sources
from imgsearch.pipelines import embed_pipeline
from imgsearch.types import Matrix
from imgsearch.wording import counted

_CHUNK: Final = 256  # images of one run: enough to overlap, few enough for a bar that moves


@click.command()
@click.argument("source", nargs=-1)
@click.option(
    "--dim",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Numbers of a reduced vector.",
)
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE.safetensors",
    help="File to write the reduction to.",
)
@click.option(
    "--method",
    type=click.Choice(KINDS),
    default=KINDS[0],
    show_default=True,
    help="Kind of reduction.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=2023,
    show_default=True,
    help="Seed of the random numbers.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Limit on the images used, spread evenly over SOURCE.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
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
    """Fit a reduction that shortens an encoder's vectors.

    It is fitted to the images of each SOURCE.

    pca keeps the directions in which the images differ most; give it images like those of the
    library, many more than --dim, and never the queries of a measurement. random draws its matrix
    from --seed and looks at no image.
    """
    if method == "pca" and not source:
        raise click.UsageError("pca is fitted on images: name a SOURCE")
    _check(target, force=force)
    given = options.parsed(config["options"])
    if "reduction" in (given or {}):
        raise click.BadParameter("the vectors would be reduced twice", param_hint="--option")
    name = model or encoders.DEFAULT
    encoder = encoders.load(name, weights=weights, options=given)
    mine = told(encoder.fingerprint)
    if method == "random":
        reduction = Reduction.random(encoder.dim, dim, seed=seed, source=mine)
        if source:
            show.note("random looks at no image: SOURCE was left alone")
    else:
        paths = sources.spread([each.path for each in sources.references(source)], samples)
        _check_enough(encoder, dim, len(paths))
        pipeline = embed_pipeline(name, weights=weights, options=given)
        with closing(pipeline), show.progress(hidden=False) as bars:
            reduction = Reduction.pca(_vectors(pipeline, paths, bars.tell), dim, source=mine)
    reduction.save(target)
    _summary(encoder, reduction)
    words = [f"--option={word}" for word in (*config["options"], f"reduction={target.resolve()}")]
    with_weights = [f"--weights={weights}"] if weights else []
    command = shlex.join(["--model", name, *with_weights, *words])
    show.note(f"next: imgsearch add SOURCE {show.printable(command)}")


def _check(target: Path, *, force: bool) -> None:
    """Refuse a file that could not be written in the end.

    Raises:
        ConfigError: it is there already, its folder is not, or its name does not fit.
    """
    if target.suffix.lower() != SUFFIX:
        raise ConfigError(f"a reduction is kept in NAME{SUFFIX}, not in {target}")
    if target.exists() and not force:
        raise ConfigError(f"{target} is there already; --force replaces it")
    if not target.parent.is_dir():
        raise ConfigError(f"there is no folder {target.parent} to write {target.name} in")


def _check_enough(encoder: Encoder, dim: int, found: int) -> None:
    """Refuse, before an image is read, what `Reduction.pca` would refuse after them all.

    Raises:
        ConfigError: the vectors are shorter than `dim` already, or there are too few images.
    """
    if dim > encoder.dim:
        raise ConfigError(
            f"the vectors of {encoder.fingerprint.model} have {encoder.dim} dimensions: --dim is "
            f"at most that, not {dim}"
        )
    if found < dim:
        raise ConfigError(
            f"PCA to {dim} dimensions needs at least {counted(dim, 'image')}, not {found}"
        )


def _vectors(pipeline: Any, paths: list[str], tell: Callable[..., None]) -> Iterator[Matrix]:
    """Yield the vectors (n, d) of the images that can be used; say in the end what could not."""
    reasons: list[str] = []
    for start in range(0, len(paths), _CHUNK):
        rows = list(pipeline.stream([paths[start : start + _CHUNK]]))
        reasons += [str(row["error"]) for row in rows if row["error"] is not None]
        well = [row["vector"] for row in rows if row["error"] is None]
        if well:
            yield np.stack(well)
        tell("embedding", min(start + _CHUNK, len(paths)), len(paths), f"{len(reasons)} failed")
    if reasons:
        show.note(f"{len(reasons)} of {len(paths)} images could not be used; the first:")
        show.note(f"  {show.printable(reasons[0])}")


def _summary(encoder: Encoder, reduction: Reduction) -> None:
    made = f"{encoder.dim} → {reduction.dim} dimensions"
    if reduction.kind == "pca":
        kept = f"{reduction.kept:.1%} of the variance is kept"
        click.echo(f"{made}, fitted to {counted(reduction.samples, 'image')}: {kept}")
    else:
        click.echo(f"{made}, drawn at random from seed {reduction.seed}")
