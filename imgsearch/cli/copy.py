"""copy: a collection into another store."""

from contextlib import ExitStack
from dataclasses import asdict

import click

from imgsearch.backends.schema import Metric
from imgsearch.cli import options, show
from imgsearch.errors import CollectionNotFound
from imgsearch.settings import Settings
from imgsearch.wording import counted


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--collection", default="images", show_default=True, help="Collection to copy.")
@click.option("--as", "name", metavar="NAME", help="Name of the copy, if it differs.")
@options.index
@options.as_json
def copy(
    source: str,
    target: str,
    collection: str,
    name: str | None,
    index: str | None,
    metric: Metric | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
) -> None:
    """Copy a collection into another store, and verify it.

    FROM and TO are store URLs, as for --db. Vectors are copied; images are not read. An
    interrupted copy can be run again, and nothing is deleted in TO. --index and --metric set the
    new collection's, which are the source's by default.
    """
    from imgsearch.backends import connect, is_there
    from imgsearch.library.copy import copy as transfer

    settings = Settings.from_environment()
    if not is_there(source):
        raise CollectionNotFound(f"there is no store at {source}")
    with ExitStack() as stack:
        here, there = (
            stack.enter_context(connect(url, token=settings.token(url), timeout=settings.timeout))
            for url in (source, target)
        )
        bars = stack.enter_context(show.progress(hidden=as_json))
        done = transfer(
            here,
            there,
            collection,
            name=name,
            index=index,
            metric=metric,
            on_progress=lambda count, total: bars.tell("copying", count, total),
        )
    if as_json:
        show.echo_json(asdict(done))
    else:
        show.note(
            f"{done.copied} copied, {done.skipped} skipped, "
            f"{counted(done.compared, 'vector')} compared and equal, in {done.seconds:.1f} s"
        )
        if done.doubled:
            show.note(
                f"{counted(done.doubled, 'row')} with a repeated id left out: the source has "
                "several rows of one id, and one of each was copied"
            )
