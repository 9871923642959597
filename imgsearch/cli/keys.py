"""keys: create, list and revoke the API keys of a service."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsearch.cli import options, show
from imgsearch.settings import Settings

if TYPE_CHECKING:
    from imgsearch.archive import KeyRow
    from imgsearch.archive.access import Keys, Scope

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}

_data = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default="imgsearch-data",
    show_default=True,
    help="Folder of the service; IMGSEARCH_CATALOG has priority.",
)


@click.group()
def keys() -> None:
    """Create, list and revoke the API keys of `imgsearch serve`."""


def _duration(
    _context: click.Context, _option: click.Parameter, word: str | None
) -> timedelta | None:
    if word is None:
        return None
    match = re.fullmatch("([1-9][0-9]{0,3})([hdw])", word)
    if match is None:
        raise click.BadParameter(f"{word!r} is not a time such as 12h, 90d or 4w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _names(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return the names in comma-separated texts, None without any text."""
    if not texts:
        return None
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(("read", "write", "admin")),
    default="read",
    show_default=True,
    help="Rights: read (search, view), write (also add, change, delete) or admin (also drop).",
)
@click.option(
    "--expires",
    callback=_duration,
    metavar="TIME",
    help="Time until the key expires, e.g. 12h, 90d or 4w; unlimited by default.",
)
@click.option(
    "--collections",
    callback=_names,
    multiple=True,
    metavar="A,B",
    help="Limit the key to these collections, which need not exist yet; repeatable.",
)
@_data
@options.as_json
def create(
    name: str,
    scope: "Scope",
    expires: timedelta | None,
    collections: tuple[str, ...] | None,
    data: Path,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
) -> None:
    """Create a key, and print its secret once.

    Only a hash of the secret is stored. NAME is a label for `imgsearch keys list`.

    With --collections, other collections do not exist for the key, and what concerns all of them,
    such as the log and the metrics, is refused. A key with scope admin may then drop its own ones.
    """
    until = None if expires is None else datetime.now(UTC) + expires
    with _keys(data, new=True) as known:
        row, secret = known.create(name, [scope], expires=until, collections=collections)
    if as_json:
        show.echo_json({**_to_json(row), "secret": secret})
        return
    click.echo(secret)
    limit = "" if row.collections is None else f" to {', '.join(row.collections)}"
    show.note(
        f"key {row.id} ({scope}{limit}) for {show.printable(name)}; its secret is shown only once"
    )


@keys.command("list")
@_data
@options.as_json
def list_(data: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """List the keys, without their secrets."""
    with _keys(data) as known:
        rows = known.all()
    if as_json:
        show.echo_json([_to_json(row) for row in rows])
        return
    columns = ("id", "name", "scope", "collections", "created", "last used", "expires")
    show.table(columns, [_cells(row) for row in rows])


@keys.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID…")
@_data
def revoke(ids: tuple[str, ...], data: Path) -> None:
    """Revoke keys by id; a running service rejects them at once."""
    with _keys(data) as known:
        for id_ in ids:
            known.revoke(id_)
            show.note(f"key {id_} revoked")


@contextmanager
def _keys(data: Path, *, new: bool = False) -> Iterator["Keys"]:
    """Open the keys of a service. With `new`, its catalog is created if it does not exist."""
    from imgsearch.archive import opened_keys

    settings = Settings.from_environment()
    with opened_keys(
        data,
        catalog=settings.catalog,
        catalog_password=settings.catalog_password,
        timeout=settings.timeout,
        new=new,
    ) as known:
        yield known


def _to_json(row: "KeyRow") -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": list(row.scopes),
        "collections": None if row.collections is None else list(row.collections),
        "created": row.created.isoformat(timespec="seconds"),
        "last_used": row.last_used and row.last_used.isoformat(timespec="seconds"),
        "expires": row.expires and row.expires.isoformat(timespec="seconds"),
    }


def _cells(row: "KeyRow") -> tuple[str, ...]:
    used = f"{row.last_used:%Y-%m-%d %H:%M}" if row.last_used else "never"
    until = f"{row.expires:%Y-%m-%d}" if row.expires else "never"
    scopes = ", ".join(row.scopes)
    limit = "all" if row.collections is None else ", ".join(row.collections)
    return (row.id, row.name, scopes, limit, f"{row.created:%Y-%m-%d}", used, until)
