"""serve: the service over HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from imgsearch.cli import options, show
from imgsearch.cli.words import Number
from imgsearch.errors import MissingExtra
from imgsearch.settings import Settings

_MB: Final = 1 << 20
_Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


def _limit(name: str, default: int, text: str, *, least: int = 1, metavar: str = "N") -> _Decorator:
    return click.option(
        name,
        default=default,
        show_default=True,
        type=click.IntRange(least),
        metavar=metavar,
        help=text,
    )


def _seconds(name: str, default: float, text: str) -> _Decorator:
    return click.option(
        name, default=default, show_default=True, type=Number(0, min_open=True), help=text
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65_535))
@click.option(
    "--data",
    default="imgsearch-data",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for vectors, catalogue and originals, but for what settings put elsewhere.",
)
@click.option("--no-auth", is_flag=True, help="Ask nobody for a key; on this machine alone.")
@click.option("--db", metavar="URL", help="The vectors' store, as milvus://HOST:PORT/NAME.")
@options.encoder
@options.index
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder that jobs may add from, beside those in IMGSEARCH_ROOTS; may be repeated.",
)
@click.option("--allow-urls", is_flag=True, help="Let jobs fetch images from public addresses.")
@click.option(
    "--url-host",
    "url_hosts",
    multiple=True,
    metavar="HOST",
    help="With --allow-urls, a host, address or network of yours to fetch from; may be repeated.",
)
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="Pages elsewhere that may use the service, as https://photos.example.org.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="A name that the service is called by, as behind a proxy; other names are refused then.",
)
@click.option(
    "--behind-proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="Address or network of your proxy, as 10.0.0.0/8: its X-Forwarded-Proto, -For and -Host "
    "count, so the page's cookie is Secure behind TLS; may be repeated.",
)
@click.option("--page/--no-page", default=True, help="Show the page at /, if it is installed.")
@_limit("--max-file", 64, "Size limit of one image, in MB.", metavar="MB")
@_limit("--max-files", 100, "Images in one upload.")
@_limit("--max-body", 256, "Size limit of one upload, in MB.", metavar="MB")
@options.max_pixels
@_limit("--max-jobs", 16, "Jobs that wait or run.")
@_limit("--max-collections", 100, "Collections in the store before requests may create no more.")
@_limit("--max-per-minute", 0, "Requests of one key or address; 0: any number.", least=0)
@_limit(
    "--max-connections",
    1_000,
    "Open connections; beyond them idle ones are closed, then new ones get 503.",
)
@_seconds("--max-seconds", 60.0, "Time limit until the response starts, in seconds.")
@_seconds("--max-head-seconds", 10.0, "Time limit until a request's head is complete, in seconds.")
@_seconds(
    "--max-idle-seconds", 5.0, "How long a connection is kept open for another request, in seconds."
)
def serve(
    host: str,
    port: int,
    data: Path,
    no_auth: bool,  # noqa: FBT001 - click passes flags by name
    **told: Any,
) -> None:
    """Serve a library over HTTP, with a page for browsers.

    The documentation is at /docs.

    \b
        imgsearch keys create me --scope admin --data photos/
        imgsearch serve --data photos/
        imgsearch serve --data photos/ --no-auth --root ~/Pictures

    Vectors, catalogue and originals lie in the folder, unless --db, IMGSEARCH_DB,
    IMGSEARCH_CATALOG or IMGSEARCH_OBJECTS put them elsewhere. What a crash left half done is
    finished first.
    """  # noqa: D301  # \b is click's: leave these lines as they are
    if told["url_hosts"] and not told["allow_urls"]:
        raise click.UsageError("--url-host needs --allow-urls: nothing is fetched without it")
    try:
        from imgsearch.service import serving
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the service needs {error.name}", extra="service", name=error.name
        ) from error
    from imgsearch.access import Keys
    from imgsearch.archive import opened

    settings = Settings.from_environment()
    db = told["db"] or settings.db or str(data / "vectors.db")
    with (
        serving.leaving(),
        opened(
            data,
            db=db,
            token=settings.token(db),
            timeout=settings.timeout,
            catalog=settings.catalog,
            catalog_password=settings.catalog_password,
            originals=settings.objects,
            s3_key=settings.s3_key,
            s3_secret=settings.s3_secret,
            roots=(*settings.roots, *(root.absolute() for root in told["roots"])),
            model=told["model"],
            weights=told["weights"],
            options=options.parsed(told["options"]),
            index=told["index"],
            metric=told["metric"],
            max_pixels=told["max_pixels"],
            most_collections=told["max_collections"],
        ) as archive,
    ):
        keys = Keys(archive.catalog)
        serving.check_open(host, keys, no_auth=no_auth, proxies=told["proxies"])
        serving.warm(archive)
        repaired = serving.mend(archive, alone=not settings.secret(db))
        if repaired.anything:
            show.note(f"what a crash left half done is repaired: {repaired.summary()}")
        limits = _limits(host, serving, **told)
        with serving.running(archive, keys=None if no_auth else keys, **limits) as app:
            serving.run(
                app, host=host, port=port, on_start=lambda real: _greet(host, real, data, no_auth)
            )


def _limits(host: str, serving: Any, **told: Any) -> dict[str, Any]:
    """Return what the options tell of limits and of who may call."""
    from imgsearch.service import Limits

    names = tuple(told["names"])
    if not names and serving.is_loopback(host):
        names = serving.LOOPBACK
    return {
        "limits": Limits(
            file_bytes=told["max_file"] * _MB,
            files=told["max_files"],
            body_bytes=told["max_body"] * _MB,
            pixels=told["max_pixels"],
            jobs=told["max_jobs"],
            per_minute=told["max_per_minute"],
            seconds=told["max_seconds"],
            connections=told["max_connections"],
            head_seconds=told["max_head_seconds"],
            idle_seconds=told["max_idle_seconds"],
        ),
        "urls": told["allow_urls"],
        "url_hosts": told["url_hosts"],
        "hosts": names or None,
        "cors": told["cors"],
        "proxies": told["proxies"],
        "page": told["page"],
    }


def _greet(host: str, port: int, data: Path, no_auth: bool) -> None:  # noqa: FBT001 - in a row
    name = f"[{host}]" if ":" in host else host
    show.note(f"imgsearch serves http://{name}:{port}, with its documentation at /docs")
    show.note(f"  what it keeps is in {data}, but for what settings put elsewhere")
    if no_auth:
        show.note("  no key is asked for: every user of this machine may read and write")
    else:
        show.note("  it asks for a key, as Authorization: Bearer KEY: `imgsearch keys` makes one")
    show.note("  Ctrl-C stops it")
