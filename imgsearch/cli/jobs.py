"""jobs: list, show, cancel, retry and follow the background jobs of a service."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch.cli import options, show
from imgsearch.errors import ImgSearchError, JobNotFound
from imgsearch.settings import Settings
from imgsearch.text import counted

if TYPE_CHECKING:
    from imgsearch.client import Client
    from imgsearch.wire.responses import JobState

F = TypeVar("F", bound=Callable[..., Any])
_FAILURES = 10  # files that `show` lists


def _service(command: F) -> F:
    """Add --url and --json."""
    url = click.option(
        "--url",
        default="http://127.0.0.1:8000",
        show_default=True,
        metavar="URL",
        help="Address of the service; its key is in IMGSEARCH_API_KEY.",
    )
    return url(options.as_json(command))


@click.group()
def jobs() -> None:
    """List and control the background jobs of `imgsearch serve`."""


@jobs.command("list")
@click.option(
    "-n", "--number", default=20, show_default=True, type=click.IntRange(1), help="Most jobs shown."
)
@_service
def list_jobs(number: int, url: str, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """List jobs, newest first."""
    with _client(url) as client:
        states = list(islice(client.jobs(), number))
    if as_json:
        show.echo_json([state.model_dump(mode="json") for state in states])
        return
    columns = ("id", "kind", "collection", "state", "added", "skipped", "failed", "created")
    show.table(columns, [_cells(state) for state in states])


@jobs.command("show")
@click.argument("job")
@_service
def show_job(job: str, url: str, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Show a job's state, and the first of its failed files."""
    with _client(url) as client:
        handle = client.job(job)
        state = handle.progress
        failures = list(islice(handle.failures(), _FAILURES))
    if as_json:
        listed = [{"path": f.path, "stage": f.stage, "reason": f.reason} for f in failures]
        show.echo_json({**state.model_dump(mode="json"), "failures": listed})
        return
    _print(state)
    show.failures(failures, len(failures), None)
    if state.failed > len(failures):
        show.note(f"  … and {state.failed - len(failures)} more")


@jobs.command()
@click.argument("job")
@_service
def cancel(job: str, url: str, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Cancel a job after the images in progress; added images are kept."""
    with _client(url) as client:
        handle = client.job(job)
        handle.cancel()
        _report(handle.progress, as_json=as_json)


@jobs.command()
@click.argument("job")
@click.option("--follow", is_flag=True, help="Wait for the new job, as `imgsearch jobs follow`.")
@_service
def retry(
    job: str,
    follow: bool,  # noqa: FBT001 - click passes flags by name
    url: str,
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Start a new job with the failed files of a job, and print its id."""
    with _client(url) as client:
        started = client.job(job).retry()
        if follow:
            _follow(started, as_json=as_json)
        else:
            _report(started.progress, as_json=as_json)


@jobs.command()
@click.argument("job", required=False)
@_service
def follow(job: str | None, url: str, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Wait until a job has ended; the newest one by default.

    A bar shows its progress. The exit code is 1 if the job failed. Ctrl-C stops waiting, not the
    job.
    """
    with _client(url) as client:
        if job is None:
            newest = next(client.jobs(), None)
            if newest is None:
                raise JobNotFound("the service has no jobs. Start one with POST /v1/jobs.")
            job = newest.id
        _follow(client.job(job), as_json=as_json)


def _follow(handle: Any, *, as_json: bool) -> None:
    states: list[JobState] = []

    def update(state: "JobState") -> None:
        states[:] = [state]
        done = state.searchable + state.skipped + state.failed
        bars.update(state.kind, done, state.found, counted(state.failed, "failure"))

    with show.progress(hidden=as_json) as bars:
        try:
            handle.wait(on_progress=update)
        except ImgSearchError:  # of a failed job, or of the connection
            if not (states and states[-1].over):
                raise
    _report(states[-1], as_json=as_json)
    if states[-1].state == "failed":
        sys.exit(1)


def _report(state: "JobState", *, as_json: bool) -> None:
    if as_json:
        show.echo_json(state.model_dump(mode="json"))
    else:
        _print(state)


def _print(state: "JobState") -> None:
    rows = [
        (name, _time(value) if isinstance(value, datetime) else str(value))
        for name, value in state
        if value not in (None, "", 0) and name != "migration"
    ]
    show.table(("", ""), rows)


def _cells(state: "JobState") -> tuple[str, ...]:
    numbers = (state.inserted, state.skipped, state.failed)
    return (
        state.id,
        state.kind,
        state.collection,
        state.state if not state.error else f"{state.state}: {state.error}",
        *map(str, numbers),
        _time(state.created),
    )


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


@contextmanager
def _client(url: str) -> "Iterator[Client]":
    from imgsearch.client import Client

    with Client(url, Settings.from_environment().api_key) as client:
        yield client
