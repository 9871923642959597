"""fields: list, declare and count the fields of a library."""

from typing import Any

import click

from imgsearch.cli import options, show
from imgsearch.cli.option_values import parse_where
from imgsearch.fields import declared
from imgsearch.settings import Settings


@click.command()
@click.argument("new", nargs=-1, metavar="[NAME:TYPE]...")
@options.store
@options.encoder
@click.option("--values", metavar="FIELD", help="Count the images with each value of this field.")
@click.option(
    "--where",
    multiple=True,
    metavar="FILTER",
    help="Count only images that match, as for `imgsearch search`; repeatable.",
)
@click.option(
    "--most",
    default=20,
    show_default=True,
    type=click.IntRange(1),
    help="Limit on the values of --values.",
)
@options.as_json
def fields(
    new: tuple[str, ...],
    db: str | None,
    values: str | None,
    where: tuple[str, ...],
    most: int,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    **config: Any,
) -> None:
    """List the declared fields of a library, after declaring new ones.

    A type is str, int, float, bool or list:

        imgsearch fields year:int tags:list

        imgsearch fields --values tags --where "year >= 2019"

    A missing library is created. Fields keep their types, and cannot be removed.
    """
    if where and values is None:
        raise click.UsageError("--where has no effect without --values")
    types, condition = declared(new), parse_where(where)
    config["options"] = options.parse_options(config["options"])
    with options.open_library(
        Settings.from_environment(), db, new=bool(types), **config
    ) as library:
        known = dict(library.declare_fields(types) if types else library.fields)
        counts = {}
        if values is not None:
            counts = library.facets(values, where=condition, most=most)
    if as_json:
        facets = [{"value": value, "images": number} for value, number in counts.items()]
        show.echo_json({"fields": known} | ({} if values is None else {"values": facets}))
    elif values is None:
        show.table(("field", "type"), sorted(known.items()))
    else:
        rows = [(str(value), f"{number:,}") for value, number in counts.items()]
        show.table((values, "images"), rows)
