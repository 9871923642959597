"""serve: run the HTTP service and its web page."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from imgsearch.cli import log_options, options
from imgsearch.cli.option_values import Number
from imgsearch.errors import MissingExtra
from imgsearch.images import metadata
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
    return click.option(name, default=default, show_default=True, type=Number(1), help=text)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--data",
    default="imgsearch-data",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for vectors, catalog and originals.",
)
@click.option("--no-auth", is_flag=True, help="Serve without API keys, on loopback only.")
@click.option(
    "--db", metavar="URL", help="Vector store, e.g. milvus://HOST:PORT/NAME, outside the folder."
)
@options.encoder
@options.index
@options.partition
@options.declared_fields
@click.option(
    "--exif",
    is_flag=True,
    help="Read fields from the files' metadata, without places: taken, camera, lens, width …",
)
@click.option(
    "--exif-places", is_flag=True, help="Read latitude and longitude, too; implies --exif."
)
@options.pipeline
@click.option(
    "--regions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of an object detector: objects in the images of new collections are searched, "
    "too.",
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that jobs may add from, in addition to IMGSEARCH_ROOTS; repeatable.",
)
@click.option(
    "--allow-ocr", is_flag=True, help="Allow requests to read the text in images; needs ocr."
)
@click.option("--allow-tags", is_flag=True, help="Allow requests to tag new images with labels.")
@click.option(
    "--allow-urls",
    is_flag=True,
    help="Allow jobs and searches to fetch images from public addresses.",
)
@click.option(
    "--url-host",
    "url_hosts",
    multiple=True,
    metavar="HOST",
    help="Private host, address or network that --allow-urls may fetch from; repeatable.",
)
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="Allow pages of this origin, e.g. https://photos.example.org; repeatable.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="Host name that requests may use, e.g. a proxy's; all others are refused; repeatable.",
)
@click.option(
    "--behind-proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="Address or network of a proxy, e.g. 10.0.0.0/8, whose X-Forwarded-Proto, -For and -Host "
    "headers are trusted. The page's cookie is Secure then, if the proxy uses TLS. Repeatable.",
)
@click.option(
    "--page/--no-page",
    default=True,
    show_default=True,
    help="Serve the page at /, if Gradio is installed.",
)
@_limit("--max-file", 64, "Size limit of one image, in MB.", metavar="MB")
@_limit("--max-files", 100, "Limit on images in one upload.")
@_limit("--max-body", 256, "Size limit of one upload, in MB.", metavar="MB")
@_limit("--max-video", 1024, "Size limit of an uploaded video, in MB.", metavar="MB")
@_seconds("--max-video-seconds", 14_400.0, "Videos longer than this are refused, in seconds.")
@options.max_pixels
@_limit("--max-jobs", 16, "Limit on jobs that wait or run.")
@_limit("--max-collections", 100, "Requests create no collection if the store has this many.")
@_limit("--max-per-minute", 0, "Requests a minute for each key or address; 0: no limit.", least=0)
@_limit(
    "--max-connections",
    1_000,
    "Limit on open connections. Beyond it idle ones are closed, then new ones get 503.",
)
@_seconds("--max-seconds", 60.0, "Time limit until the response starts, in seconds.")
@_seconds("--max-head-seconds", 10.0, "Time limit until a request's head is complete, in seconds.")
@_seconds(
    "--max-idle-seconds", 5.0, "Time that a connection waits for another request, in seconds."
)
@click.option(
    "--check",
    is_flag=True,
    help="Check settings, stores, encoders, keys and the port, and exit without serving.",
)
@log_options.log
def serve(
    host: str,
    port: int,
    data: Path,
    no_auth: bool,  # noqa: FBT001 - click passes flags by name
    check: bool,  # noqa: FBT001 - as above
    **values: Any,
) -> None:
    """Serve a library over HTTP, with a web page.

    \b
        imgsearch keys create me --scope admin --data photos/
        imgsearch serve --data photos/
        imgsearch serve --data photos/ --no-auth --root ~/Pictures

    The API is documented at /docs. Vectors, catalog and originals are stored in the --data folder,
    unless --db, IMGSEARCH_DB, IMGSEARCH_CATALOG or IMGSEARCH_OBJECTS selects another location.
    Additions and deletions that a crash interrupted are finished before the first request. With
    --check nothing is created or changed, and the exit code is 1 if a check fails.
    """  # noqa: D301  # \b keeps click from wrapping the examples
    if values["url_hosts"] and not values["allow_urls"]:
        raise click.UsageError("--url-host has no effect without --allow-urls")
    try:
        from imgsearch.service import server
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the service needs {error.name}", extra="service", name=error.name
        ) from error
    if check:
        _check(host, port, data, no_auth, values)
        return
    from imgsearch.archive.access import Keys

    logged = log_options.logging_by(
        values["log_format"], values["log_level"], access_log=values["access_log"]
    )
    with (
        server.forced_exit(),
        logged as note,
        options.open_archive(
            settings := Settings.from_environment(),
            data,
            values["db"],
            new=True,
            roots=[root.absolute() for root in values["roots"]],
            creation=_creation(values),
            max_pixels=values["max_pixels"],
            max_video_seconds=values["max_video_seconds"],
            steps=values["steps"],
            regions=values["regions"],
            most_collections=values["max_collections"],
        ) as archive,
    ):
        keys = Keys(archive.catalog)
        server.check_open(host, keys=len(keys.all()), no_auth=no_auth, proxies=values["proxies"])
        server.warm(archive)
        repaired = server.mend(archive, alone=not settings.secret(archive.url))
        if repaired.anything:
            note(f"repaired after a crash: {repaired.summary()}")
        access = _access(host, server, **values)
        with server.running(archive, keys=None if no_auth else keys, **access) as app:
            server.run(
                app,
                host=host,
                port=port,
                on_start=lambda real: note(_greeting(host, real, data, no_auth)),
            )


def _creation(values: dict[str, Any]) -> Any:
    """Return the settings of new collections."""
    from imgsearch.archive import CollectionOptions

    return CollectionOptions(
        values["model"],
        values["weights"],
        options.parse_options(values["options"]),
        values["index"],
        values["metric"],
        values["fields"],
        _exif(values["exif"], values["exif_places"]),
        partition=values["partition"],
    )


def _check(
    host: str,
    port: int,
    data: Path,
    no_auth: bool,  # noqa: FBT001 - in the order of `serve`
    values: dict[str, Any],
) -> None:
    """Print what is wrong; exit with 1 if a check fails."""
    from imgsearch.cli.doctor import report
    from imgsearch.cli.serve_check import findings
    from imgsearch.service import server

    settings = Settings.from_environment()
    results = list(
        findings(
            settings,
            data,
            host=host,
            port=port,
            no_auth=no_auth,
            values=values,
            creation=replace(_creation(values), **settings.new_encoder),
            check_access=lambda: server.check_access(_access(host, server, **values)),
        )
    )
    report(results, as_json=False)


def _exif(exif: bool, places: bool) -> tuple[str, ...]:  # noqa: FBT001 - flags of click
    """Return the names of the facts that are read from files. Places are private."""
    if not (exif or places):
        return ()
    return tuple(name for name in metadata.FIELDS if places or name not in metadata.PLACES)


def _access(host: str, server: Any, **values: Any) -> dict[str, Any]:
    """Return the limits and access rules in the options, as arguments for `server.running`."""
    from imgsearch.service import Limits

    names = tuple(values["names"])
    if not names and server.is_loopback(host):
        names = server.LOOPBACK
    return {
        "limits": Limits(
            file_bytes=values["max_file"] * _MB,
            files=values["max_files"],
            body_bytes=values["max_body"] * _MB,
            video_bytes=values["max_video"] * _MB,
            pixels=values["max_pixels"],
            jobs=values["max_jobs"],
            per_minute=values["max_per_minute"],
            seconds=values["max_seconds"],
            connections=values["max_connections"],
            head_seconds=values["max_head_seconds"],
            idle_seconds=values["max_idle_seconds"],
        ),
        "urls": values["allow_urls"],
        "allowed": [name for name in ("ocr", "tags") if values[f"allow_{name}"]],
        "url_hosts": values["url_hosts"],
        "hosts": names or None,
        "cors": values["cors"],
        "proxies": values["proxies"],
        "page": values["page"],
    }


def _greeting(host: str, port: int, data: Path, no_auth: bool) -> str:  # noqa: FBT001 - in a row
    name = f"[{host}]" if ":" in host else host
    return "\n".join(
        (
            f"Serving at http://{name}:{port}, with the API documentation at /docs.",
            f"  Data folder: {data}",
            "  No API key is needed: every user of this machine may read and write."
            if no_auth
            else "  Requests need an API key: Authorization: Bearer KEY (see `imgsearch keys`).",
            "  Press Ctrl-C to stop.",
        )
    )
