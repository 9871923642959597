"""list: the images of a library, with their fields."""

from itertools import islice
from typing import Any

import click

from imgsearch.cli import options, show
from imgsearch.cli.option_values import parse_where
from imgsearch.settings import Settings


@click.command("list")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@options.store
@options.fields
@click.option(
    "--where",
    multiple=True,
    metavar="FILTER",
    help='Filter on fields, as for `imgsearch search`, e.g. "path under photos"; repeatable.',
)
@click.option("--order-by", metavar="[-]FIELD", help="Sort by a field; - for descending order.")
@click.option("-k", type=click.IntRange(1), metavar="N", help="Limit on the images.")
@click.option("--count", is_flag=True, help="Print only the number of images.")
@options.as_json
@click.option("-0", "--print0", is_flag=True, help="Print only the paths, with NUL after each.")
def list_images(
    ids: tuple[str, ...],
    db: str | None,
    where: tuple[str, ...],
    order_by: str | None,
    k: int | None,
    **config: Any,
) -> None:
    """List images by their paths.

    --json prints their ids and fields, too. With an ID only its image is listed:

        imgsearch list --where "year >= 2019 and label = cat" --order-by -year

        imgsearch list --count
    """
    outputs = {name: config.pop(name) for name in ("as_json", "print0", "count")}
    if sum(outputs.values()) > 1 and not (outputs["as_json"] and outputs["count"]):
        raise click.UsageError("--json, --print0 and --count exclude each other")
    if ids and (where or order_by or k or outputs["count"]):
        raise click.UsageError("with an ID there are no other options than --json and --print0")
    condition = parse_where(where)
    with options.read_library(Settings.from_environment(), db, **config) as library:
        if outputs["count"]:
            number = library.count(condition)
            records = []
        elif ids:
            records = [library.get(id_) for id_ in ids]
        else:
            records = list(islice(library.records(condition, order_by=order_by), k))
    if outputs["count"]:
        if outputs["as_json"]:
            show.echo_json({"count": number})
        else:
            click.echo(number)
    elif outputs["as_json"]:
        rows = [{"id": record.id, "fields": dict(record.fields)} for record in records]
        show.echo_json(rows)
    else:
        show.paths([record.path or record.id for record in records], nul=outputs["print0"])
