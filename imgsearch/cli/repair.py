"""repair: finish additions and deletions of a service that a crash interrupted."""

from dataclasses import asdict
from pathlib import Path

import click

from imgsearch.cli import options, show
from imgsearch.cli.option_values import Number
from imgsearch.settings import Settings


@click.command()
@options.archive
@click.option(
    "--older-than",
    type=Number(min=0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Ignore changes of the last SECONDS, which another process may still be making.",
)
@options.as_json
def repair(data: Path, db: str | None, *, older_than: float, as_json: bool) -> None:
    """Finish additions and deletions that a crash interrupted.

    Originals, catalog and vectors become consistent again. Originals without a catalog row are
    removed, and images that `imgsearch add` put into the store get catalog rows. A service does the
    same when it starts.
    """
    with options.open_archive(Settings.from_environment(), data, db) as archive:
        done = archive.repair(older_than=older_than)
    if as_json:
        show.echo_json(asdict(done))
        return
    if not done.anything:
        click.echo("Nothing to repair.")
    else:
        click.echo(f"{done.summary()}.")
    for line in done.notes:
        click.echo(show.printable(line))
