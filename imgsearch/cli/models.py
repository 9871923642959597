"""models: the encoders that there are."""

import click

from imgsearch.cli import options, show


@click.command()
@click.argument("pattern", required=False)
@options.as_json
def models(pattern: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """List the encoders; with PATTERN, such as 'resnet*', timm's models of that name."""
    from dataclasses import asdict

    from imgsearch import encoders

    if pattern is not None:
        names = [f"timm:{name}" for name in encoders.timm_names(pattern)]
        if as_json:
            show.echo_json(names)
        elif not names:
            show.note(f"timm has no model that matches {pattern!r}")
        else:
            click.echo("\n".join(names))
        return
    found = encoders.models()
    if as_json:
        show.echo_json([asdict(model) for model in found])
        return
    show.table(
        ("model", "dim", "ready", "needs", ""),
        [
            (
                model.name,
                str(model.dim or "the model's"),
                "yes" if model.installed else "no",
                model.needs or "-",
                model.description,
            )
            for model in found
        ],
    )
