"""doctor: check the installation, the settings, stores and the archive."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imgsearch.cli import options, show
from imgsearch.errors import ConfigError, MissingExtra
from imgsearch.settings import Settings, config_in_use

if TYPE_CHECKING:
    from imgsearch.library.doctor import Finding, Store

_MARKS = {"ok": "ok", "absent": "–", "wrong": "WRONG"}  # noqa: RUF001 - a dash in a table
_VECTORS: Final = "vectors.db"  # in the archive's folder


@click.command()
@click.argument("store", nargs=-1)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default="imgsearch-data",
    show_default=True,
    help="Folder of a service's archive; its vectors, catalog and originals are checked.",
)
@options.as_json
def doctor(store: tuple[str, ...], data: Path, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Check the installation, the settings, and whether stores respond.

    STORE is a URL, as for --db. The default is the store in IMGSEARCH_DB, or photos.db if that is
    not set. The archive of a service is checked, too: the folder --data, or what
    IMGSEARCH_CATALOG and IMGSEARCH_OBJECTS name. Nothing is changed. The exit code is 1 if a check
    fails.
    """
    report(list(_findings(store, data)), as_json=as_json, notes=_notes(store, data))


def report(findings: "list[Finding]", *, as_json: bool, notes: Iterable[str] = ()) -> None:
    """Print findings as a table, or as JSON, and notes on standard error.

    Exits with 1 if one of the findings is wrong.
    """
    if as_json:
        show.echo_json([asdict(finding) for finding in findings])
    else:
        rows = [(_MARKS[one.state], one.what, one.fact, one.advice) for one in findings]
        show.table(("", "check", "result", "advice"), rows)
    for note in notes:
        show.note(note)
    if any(finding.state == "wrong" for finding in findings):
        sys.exit(1)


def _findings(urls: tuple[str, ...], data: Path) -> "Iterator[Finding]":
    from imgsearch.library.doctor import Finding, examine, installation

    try:
        settings = Settings.from_environment()
        file, profile = config_in_use()
    except ConfigError as error:  # the other checks do not depend on settings
        yield Finding("settings", "wrong", str(error), "correct the setting")
        yield from installation()
        return
    yield _config(file, profile)
    yield from examine(_stores(settings, urls, data), timeout=settings.timeout)
    yield from archive_findings(settings, data)


def _stores(settings: Settings, urls: tuple[str, ...], data: Path) -> "list[Store]":
    from imgsearch.library.doctor import Store

    stores = [
        Store(url, settings.token(url), settings.secret(url)) for url in urls or (settings.store,)
    ]
    if not settings.db and data.is_dir():
        stores.append(Store(str(data / _VECTORS)))
    return stores


def _notes(urls: tuple[str, ...], data: Path) -> list[str]:
    """Return the advice to move large collections out of the stores."""
    from imgsearch.library.doctor import growth_advice

    try:
        settings = Settings.from_environment()
    except ConfigError:  # a finding reports it
        return []
    return [
        line
        for store in _stores(settings, urls, data)
        for line in growth_advice(store, settings.timeout)
    ]


def archive_findings(settings: Settings, data: Path) -> "Iterator[Finding]":
    """Yield the findings about the catalog and the originals that the settings select."""
    from imgsearch.library.doctor import Finding

    try:
        from imgsearch.archive.doctor import examine
    except MissingExtra as error:
        yield Finding(f"archive {data}", "absent", str(error), "only a service needs it")
        return
    arguments: dict[str, Any] = {
        "catalog": settings.catalog,
        "catalog_password": settings.catalog_password,
        "originals": settings.objects,
        "s3_key": settings.s3_key,
        "s3_secret": settings.s3_secret,
        "timeout": settings.timeout,
    }
    yield from examine(data, **arguments)


def _config(file: Path | None, profile: str) -> "Finding":
    from imgsearch.library.doctor import Finding

    if file is None:
        return Finding("config file", "absent", "none", "optional: docs/running.md")
    return Finding(
        "config file", "ok", f"{file}, {f'profile {profile}' if profile else 'no profile'}"
    )
