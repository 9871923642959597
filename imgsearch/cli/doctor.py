"""doctor: check the installation and stores."""

import sys
from dataclasses import asdict

import click

from imgsearch.cli import options, show
from imgsearch.settings import Settings

_MARKS = {"ok": "ok", "absent": "–", "wrong": "WRONG"}  # noqa: RUF001 - a dash in a table


@click.command()
@click.argument("store", nargs=-1)
@options.as_json
def doctor(store: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Check the installation, and whether stores respond.

    STORE is a URL, as for --db. The default is the store in IMGSEARCH_DB, or photos.db if that is
    not set. Nothing is changed. The exit code is 1 if a check fails.
    """
    from imgsearch.library.doctor import Store, examine

    settings = Settings.from_environment()
    stores = [
        Store(url, settings.token(url), settings.secret(url)) for url in store or (settings.store,)
    ]
    findings = list(examine(stores, timeout=settings.timeout))
    if as_json:
        show.echo_json([asdict(finding) for finding in findings])
    else:
        show.table(
            ("", "check", "result", "advice"),
            [
                (_MARKS[finding.state], finding.what, finding.fact, finding.advice)
                for finding in findings
            ],
        )
    if any(finding.state == "wrong" for finding in findings):
        sys.exit(1)
