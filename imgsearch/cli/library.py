"""add, info, remove: add images to a library, describe the library, and remove images."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli import options, outcomes, show, sync
from imgsearch.cli.reports import report_writers
from imgsearch.images.image_lists import ListColumns
from imgsearch.images.streams import listed_in
from imgsearch.library.progress import Progress, Report
from imgsearch.settings import Settings
from imgsearch.text import counted
from imgsearch.threads import share_memory

if TYPE_CHECKING:
    from imgsearch.library.library import Library


@click.command()
@click.argument("source", nargs=-1, required=True)
@options.store
@options.encoder
@options.index
@options.partition
@options.pipeline
@options.max_pixels
@options.list_columns
@options.declared_fields
@options.exif
@options.all_fields
@options.url_hosts
@click.option(
    "-0",
    "--null",
    is_flag=True,
    help="Separate the paths on standard input by NUL, as find -print0 does.",
)
@click.option(
    "--regions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of an object detector: objects in the images are searched, too.",
)
@options.ocr
@click.option(
    "--sync",
    "in_step",
    is_flag=True,
    help="Keep the library in step with the folders, like `imgsearch sync`.",
)
@options.sync
@options.exclude
@options.frames("1")
@options.report
@options.as_json
def add(
    source: tuple[str, ...],
    db: str | None,
    report: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    null: bool,  # noqa: FBT001 - as above
    in_step: bool,  # noqa: FBT001
    dry_run: bool,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    all_fields: bool,  # noqa: FBT001 - as above
    ocr: bool,  # noqa: FBT001 - as above
    exclude: tuple[str, ...],
    frames: str,
    **config: Any,
) -> None:
    """Add images and videos from folders, files, buckets or lists.

    A bucket is s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, with keys from the environment. A list is
    a csv, tsv, parquet or JSON lines file with a column of paths or URLs and optionally a column of
    labels, or a .txt file with a path a line; - reads a list from standard input. Images already in
    the library are skipped, so an interrupted load can be run again. If a file has other bytes now,
    its image is replaced. A label from a list or folder name replaces the stored label. Unreadable
    files are reported and do not stop the load. With --sync, which takes folders only, images whose
    files no longer exist are removed.
    """
    if (dry_run or yes) and not in_step:
        raise click.UsageError("--dry-run and --yes need --sync")
    share_memory()
    config["options"] = options.parse_options(config["options"])
    settings = Settings.from_environment()
    lists = {name: config.pop(name) for name in ("path_column", "label_column")}
    hosts = config.pop("url_hosts")
    _check_stdin(source, null=null)
    with ExitStack() as stack:
        library = stack.enter_context(options.open_library(settings, db, new=True, **config))
        writers = report_writers(stack, report)
        if in_step:
            result = sync.run(
                library,
                source,
                dry_run=dry_run,
                yes=yes,
                hidden=as_json,
                exclude=exclude,
                frames=frames,
                ocr=ocr,
                writers=writers,
            )
            total, url = library.count(), library.url
            note_growth(library)
            sync.print_report(result, total, url, as_json=as_json, report=report)
            return
        columns = ListColumns(
            lists["path_column"], lists["label_column"], library.fields, all_fields=all_fields
        )
        images = [
            listed_in(sys.stdin.buffer, null=null, columns=columns, on_note=show.note)
            if name == "-"
            else name
            for name in source
        ]
        bars = stack.enter_context(show.progress(hidden=as_json))

        def update(now: Progress) -> None:
            counts = (
                f"{now.added} added, {now.updated} updated, {now.skipped} skipped, "
                f"{now.failed} failed"
            )
            bars.update("adding", now.done, now.found, counts)

        result = library.add(
            *images,
            **lists,
            all_fields=all_fields,
            ocr=ocr,
            url_hosts=hosts,
            on_progress=update,
            exclude=exclude,
            frames=frames,
            **writers,
        )
        total = library.count()
        note_growth(library)
    if as_json:
        show.echo_json({**asdict(result), "count": total})
    else:
        _print_summary(result, total, library.url, report)
    if result.failed and not (result.added or result.updated or result.skipped):
        sys.exit(1)


@click.command()
@click.argument("job", required=False)
@options.store
@options.fields
@options.as_json
def info(job: str | None, db: str | None, as_json: bool, **config: Any) -> None:  # noqa: FBT001 - as above
    """Show a library's size, fields and encoder, or a job's progress.

    JOB is the folder of a job of `imgsearch embed`.
    """
    if job is not None:
        from imgsearch.cli.embed import print_job

        print_job(job, as_json=as_json)
        return
    with options.open_library(Settings.from_environment(), db, **config) as library:
        schema = library.collection.schema
        facts: dict[str, Any] = {
            "url": library.url,
            "collection": library.name,
            "count": library.count(),
            "dimension": schema.dim,
            "metric": schema.metric,
            "index": str(schema.index),
            **({"partition": schema.partition} if schema.partition else {}),
            "fields": dict(schema.fields),
            "encoder": asdict(schema.encoder) if schema.encoder else None,
            "weights": library.recipe.weights if schema.encoder else None,
            "foreign": library.collection.foreign,
            "thresholds": library.thresholds.to_dict(),
        }
        note_growth(library)
    if as_json:
        show.echo_json(facts)
    else:
        encoder, foreign = facts.pop("encoder") or {}, facts.pop("foreign")
        kept = facts.pop("thresholds")
        for kind, measured in {**kept["min_score"], "duplicates": kept["duplicates"]}.items():
            if measured:
                threshold, precision = measured["threshold"], measured["wanted"]
                facts[f"threshold {kind}"] = f"{threshold:.4f} for {precision:g}"
        facts |= {f"encoder {name}": value for name, value in encoder.items()}
        show.table(("", ""), [(name, str(value)) for name, value in facts.items()])
        if foreign:
            show.note("Another program created this collection; imgsearch does not write to it.")
        elif not encoder:
            show.note("This collection does not say which encoder made its vectors.")


@click.command()
@click.argument("target", nargs=-1, required=True)
@options.store
@options.as_json
def remove(target: tuple[str, ...], db: str | None, collection: str, as_json: bool) -> None:  # noqa: FBT001
    """Remove images from the library; their files are kept.

    TARGET is an image id, a file path, a folder (all images below it) or a quoted glob, in which **
    matches any number of folders. The files need not exist any more. The exit code is 1 if no image
    is removed.
    """
    missing: list[str] = []
    with options.open_library(Settings.from_environment(), db, collection=collection) as library:
        removed = library.remove(*target, on_missing=missing.append)
    if as_json:
        show.echo_json({"removed": removed, **({"missing": missing} if missing else {})})
    else:
        show.note(f"Removed {counted(removed, 'image')}")
    for text in missing:
        show.note(f"not in the library: {show.printable(text)}")
    if not removed:
        sys.exit(1)


def note_growth(library: "Library") -> None:
    """Print a note if a server would search the library faster; see `imgsearch.library.growth`."""
    from imgsearch.library import growth

    if library.exists() and (
        advice := growth.advice(library.url, library.collection, name=library.name)
    ):
        show.note(advice)


def _check_stdin(names: Sequence[str], *, null: bool) -> None:
    """Check that the user named standard input, as "-", once at most.

    Raises:
        click.UsageError: it is named twice, or --null is given without it.
    """
    if null and "-" not in names:
        raise click.UsageError("-0 reads standard input. Name it as the source: -")
    if names.count("-") > 1:
        raise click.UsageError("- is standard input, and can be read only once")


def _print_summary(result: Report, total: int, url: str, report: Path | None) -> None:
    show.note(outcomes.summary("Added", result, place="the library"))
    show.note(f"  The library has {counted(total, 'image')}: {url}")
    for sentence in result.notes:
        show.note(f"  {show.printable(sentence)}")
    if any(failed.error == "ImageTooLarge" for failed in result.failures):
        show.note("  --max-pixels MILLIONS raises the limit on pixels")
    show.failures(result.failures, result.failed, report)
