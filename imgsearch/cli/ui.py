"""ui: serve the web page on this machine, without the service."""

import signal
import threading
from pathlib import Path
from typing import Final

import click

from imgsearch.cli import log_options, options
from imgsearch.distribution import is_installed
from imgsearch.errors import MissingExtra
from imgsearch.logs import Format, Level
from imgsearch.settings import Settings

_TICK: Final = 1.0  # seconds
_NEEDS: Final = ("gradio", "fastapi", "uvicorn", "sqlalchemy", "alembic")  # all of the extra ui


@click.command()
@options.archive
@click.option("--collection", default="images", show_default=True, help="Collection to show.")
@click.option(
    "--port",
    default=7860,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port to listen on.",
)
@click.option("--read-only", is_flag=True, help="Do not allow adding or deleting.")
@log_options.log
def ui(
    data: Path,
    db: str | None,
    collection: str,
    port: int,
    *,
    read_only: bool,
    log_format: Format,
    log_level: Level,
    access_log: bool,
) -> None:
    """Search, add and browse images in a browser.

    The page is served on loopback only, without API keys; use `imgsearch serve` for other machines.
    Images can be added from the folders in IMGSEARCH_ROOTS.
    """
    for package in _NEEDS:
        if not is_installed(package):
            raise MissingExtra(f"the page needs {package}", extra="ui", name=package)
    from imgsearch import ui as page
    from imgsearch.archive import Jobs

    with (
        log_options.logging_by(log_format, log_level, access_log=access_log) as note,
        options.open_archive(Settings.from_environment(), data, db, new=True) as archive,
    ):
        jobs = Jobs(archive)
        try:
            blocks = page.build(
                archive,
                jobs,
                collection=collection,
                can_write=not read_only,
                allowed=("ocr", "tags"),
            )
            url = page.launch(blocks, port=port)
            note(f"Serving the page at {url}. Press Ctrl-C to stop.")
            _wait()
            blocks.close(verbose=False)
        finally:
            jobs.close()


def _wait() -> None:
    """Wait for SIGINT (Ctrl-C) or SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(_TICK):  # on Windows a longer wait would keep Ctrl-C back
        pass
