"""sync: keep a library in step with folders."""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from imgsearch.cli import options, outcomes, show
from imgsearch.cli.reports import report_writers
from imgsearch.errors import SyncRefused
from imgsearch.library.progress import Progress, SyncReport
from imgsearch.library.watch import changes
from imgsearch.settings import Settings
from imgsearch.text import counted

_SHOWN = 10  # deleted paths and failures on the terminal


@click.command()
@click.argument("folder", nargs=-1, required=True)
@options.store
@options.encoder
@options.index
@options.pipeline
@options.max_pixels
@options.exif
@options.ocr
@options.sync
@click.option("--watch", is_flag=True, help="Keep running, and sync after each change.")
@options.exclude
@options.frames("1")
@options.report
@options.as_json
def sync(
    folder: tuple[str, ...],
    db: str | None,
    report: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    dry_run: bool,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    watch: bool,  # noqa: FBT001
    exclude: tuple[str, ...],
    frames: str,
    ocr: bool,  # noqa: FBT001
    **config: Any,
) -> None:
    """Keep the library in step with folders.

    New files are added, changed files replace their images, renamed files keep theirs, and images
    whose files no longer exist are removed. Unchanged files are not read. Images of other folders
    are kept. A sync that would remove or replace more than 10 images and more than a fifth of a
    folder's, or that finds a folder empty, missing or unreadable must be confirmed: the drive may
    not be mounted, or another one in its place.
    """
    if watch and dry_run:
        raise click.UsageError("--watch and --dry-run exclude each other")
    config["options"] = options.parse_options(config["options"])

    def once(*, ask: bool = True, quiet: bool = False) -> None:
        with ExitStack() as stack:
            settings = Settings.from_environment()
            library = stack.enter_context(options.open_library(settings, db, new=True, **config))
            result = run(
                library,
                folder,
                dry_run=dry_run,
                yes=yes and ask,
                hidden=as_json or quiet,
                ask=ask,
                exclude=exclude,
                frames=frames,
                ocr=ocr,
                writers=report_writers(stack, report),
            )
            if not quiet or _has_changes(result):
                print_report(result, library.count(), library.url, as_json=as_json, report=report)

    once()
    if watch:
        # the library is closed while nothing changes, so that other programs can open it
        show.note("Watching the folders. Press Ctrl-C to stop.")
        with suppress(KeyboardInterrupt):
            for _ in changes(folder):
                once(ask=False, quiet=True)


def run(
    library: Any,
    folders: tuple[str, ...],
    *,
    dry_run: bool,
    yes: bool,
    hidden: bool,
    exclude: tuple[str, ...],
    writers: Mapping[str, Callable[[Any], None] | None],
    ocr: bool = False,
    frames: str = "1",
    ask: bool = True,
) -> SyncReport:
    """Sync the folders. On a terminal, with `ask`, a refused sync can be confirmed.

    Raises:
        SyncRefused: the sync was not confirmed.
    """

    def attempt(*, confirm: bool) -> SyncReport:
        with show.progress(hidden=hidden) as bars:

            def update(now: Progress) -> None:
                counts = f"{now.added} added, {now.failed} failed"
                bars.update("syncing", now.done, now.found, counts)

            report: SyncReport = library.sync(
                *folders,
                dry_run=dry_run,
                confirm=confirm,
                on_progress=update,
                exclude=exclude,
                ocr=ocr,
                frames=frames,
                **writers,
            )
        return report

    try:
        return attempt(confirm=yes)
    except SyncRefused:
        if hidden or not (ask and sys.stdin.isatty()):
            raise
        plan: SyncReport = library.sync(*folders, dry_run=True, exclude=exclude, frames=frames)
        _print_plan(plan)
        if not click.confirm("Carry out this sync?", err=True):
            raise
        return attempt(confirm=True)


def print_report(
    result: SyncReport, total: int, url: str, *, as_json: bool, report: Path | None
) -> None:
    """Print the report of a sync, and exit with 1 if files failed and none succeeded."""
    if as_json:
        show.echo_json({**asdict(result), "count": total})
    elif result.dry_run:
        _print_plan(result)
    else:
        images = counted(total, "image")
        show.note(f"Synced in {outcomes.duration(result.seconds)}: {outcomes.sync_summary(result)}")
        show.note(f"  The library has {images}: {url}")
        for sentence in result.notes:
            show.note(f"  {show.printable(sentence)}")
        show.failures(result.failures, result.failed, report)
    if result.failed and not (result.added or result.changed or result.unchanged):
        sys.exit(1)


def _has_changes(result: SyncReport) -> bool:
    return bool(result.added or result.changed or result.renamed or result.deleted)


def _print_plan(plan: SyncReport) -> None:
    show.note(f"Dry run: {outcomes.sync_summary(plan)}")
    for path in plan.deleted_paths[:_SHOWN]:
        show.note(f"  deleted: {show.printable(path)}")
    if (more := len(plan.deleted_paths) - _SHOWN) > 0:
        show.note(f"  … and {more} more")
    for reason in plan.reasons:
        show.note(f"  must be confirmed: {show.printable(reason)}")
