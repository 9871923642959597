"""tag: label images by their stored vectors."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from imgsearch.cli import options, show
from imgsearch.cli.option_values import parse_where, score
from imgsearch.errors import ConfigError
from imgsearch.settings import Settings
from imgsearch.text import counted

_MOST: Final = 1_000_000  # characters of a file of labels; ImageNet's 21,841 labels have 500,000


@click.command()
@options.store
@options.encoder
@click.option(
    "--labels",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Text file with a label a line, such as: a dog in the snow. # begins a comment.",
)
@click.option("--field", default="tags", show_default=True, metavar="NAME", help="Field to write.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Limit on the labels of an image.")
@click.option(
    "--min-score",
    metavar="FLOAT|auto",
    callback=score,
    help="Lowest score of a label; auto, the default without --top: what `imgsearch threshold` "
    "chose for texts.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="FILTER",
    help="Filter on fields, as for `imgsearch search`; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Count the labels, and write nothing.")
@options.as_json
def tag(
    db: str | None,
    labels: Path,
    where: tuple[str, ...],
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    dry_run: bool,  # noqa: FBT001 - as above
    **config: Any,
) -> None:
    """Write the labels that fit each image to a field.

    Searches filter by it: --where "tags contains dog". Labels are compared with the stored vectors,
    so no image is read. Former values of the field are replaced.
    """
    config["options"] = options.parse_options(config["options"])
    rule = {name: config.pop(name) for name in ("field", "top", "min_score")}
    condition = parse_where(where)
    names = _labels(labels)
    with (
        options.open_library(Settings.from_environment(), db, **config) as library,
        show.progress(hidden=as_json) as bars,
    ):
        result = library.tag(
            names,
            **rule,
            where=condition,
            dry_run=dry_run,
            on_progress=lambda done, total: bars.update("tagging", done, total),
        )
    if as_json:
        show.echo_json({**asdict(result), "dry_run": dry_run})
        return
    rows = [(name, f"{number:,}") for name, number in result.counts.items()]
    show.table(("label", "images"), rows)
    would = "would be " if dry_run else ""
    show.note(
        f"{result.tagged:,} of {counted(result.images, 'image')} tagged; "
        f"{counted(result.changed, 'image')} {would}changed"
    )


def _labels(file: Path) -> list[str]:
    """Return the labels in a text file.

    Raises:
        ConfigError: the file cannot be read, is too large, or is not UTF-8.
    """
    try:
        with file.open(encoding="utf-8-sig") as opened:
            text = opened.read(_MOST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the labels {file} cannot be read: {error}") from error
    if len(text) > _MOST:
        raise ConfigError(f"the labels {file} cannot be read: more than {_MOST:,} characters")
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line]
