"""embed: embed images into the folder of a job, on this machine or on a cluster."""

import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from imgsearch.cli import options, outcomes, show
from imgsearch.cli.reports import report_writers
from imgsearch.errors import CollectionNotFound
from imgsearch.library.progress import Progress, Report
from imgsearch.settings import Settings
from imgsearch.threads import share_memory

_ENGINES = ("here", "ray", "daft")


@click.command()
@click.argument("source", nargs=-1)
@click.option(
    "--to",
    "job",
    metavar="JOB",
    required=True,
    help="Folder of the job, or s3://BUCKET/PREFIX, which all workers reach.",
)
@options.encoder
@options.index
@click.option(
    "--engine",
    type=click.Choice(_ENGINES),
    default="here",
    show_default=True,
    help="Run the shards in this process, or by Ray or Daft (extras ray, daft).",
)
@click.option("--cluster", metavar="ADDRESS", help="Address of the engine's cluster.")
@click.option(
    "--gpus",
    type=click.FloatRange(0),
    default=0.0,
    metavar="NUMBER",
    help="GPUs of each worker; a fraction shares one.",
)
@click.option(
    "--shard",
    type=click.IntRange(1, 10**6),
    default=16_384,
    show_default=True,
    metavar="IMAGES",
    help="Images in a shard, the unit of work.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="Threads of each worker; by default the cores that it has.",
)
@click.option("--retry", is_flag=True, help="Run shards again that were given up.")
@options.max_pixels
@options.list_columns
@options.declared_fields
@options.exif
@options.all_fields
@options.url_hosts
@options.exclude
@options.frames("1")
@options.report
@options.as_json
def embed(
    source: tuple[str, ...],
    job: str,
    report: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    **config: Any,
) -> None:
    """Embed images into a folder of vectors.

    SOURCE is as for `imgsearch add`. The images are divided into shards, which run in this process
    or on a cluster; shards that are done are not run again. So an interrupted job goes on with
    `imgsearch embed --to JOB`. The folder is searched like a store, and copied by `imgsearch copy
    JOB milvus://HOST`; `imgsearch info JOB` shows its progress.
    """
    from imgsearch.jobs.embed import embed as embed_images

    share_memory()
    config["options"] = options.parse_options(config["options"])
    settings = Settings.from_environment()
    if config["model"] is None and not _exists(job, settings):
        config["model"], config["weights"] = settings.model, config["weights"] or settings.weights
    with ExitStack() as stack:
        config |= report_writers(stack, report)
        bars = stack.enter_context(show.progress(hidden=as_json))

        def update(now: Progress) -> None:
            counts = f"{now.added} embedded, {now.skipped} skipped, {now.failed} failed"
            bars.update("embedding", now.done, now.found, counts)

        done = embed_images(*source, to=job, on_progress=update, **config)
        progress = done.progress()
    if as_json:
        show.echo_json({**asdict(done.report), "job": asdict(progress)})
    else:
        _print_summary(done.report, done.files.title, report)
    if not progress.is_complete:
        sys.exit(1)


def _exists(job: str, settings: Settings) -> bool:
    from imgsearch.jobs.folder import JobFolder

    try:
        JobFolder.open(job, token=settings.token(job))
    except CollectionNotFound:
        return False
    return True


def _print_summary(result: Report, job: str, report: Path | None) -> None:
    show.note(outcomes.summary("Embedded", result, place="the job"))
    show.note(f"  The job is in {job}")
    for sentence in result.notes:
        show.note(f"  {show.printable(sentence)}")
    show.failures(result.failures, result.failed, report)


def print_job(job: str, *, as_json: bool) -> None:
    """Print the progress of a job.

    Raises:
        CollectionNotFound: there is no job.
    """
    from imgsearch.jobs.folder import JobFolder

    folder = JobFolder.open(job, token=Settings.from_environment().token(job))
    now, schema = folder.progress(), folder.schema
    encoder = schema.encoder
    if as_json:
        about = {"url": folder.url, "encoder": asdict(encoder) if encoder else None}
        show.echo_json({**about, "complete": now.is_complete, **asdict(now)})
        return
    left = "unknown" if now.seconds_left is None else f"{now.seconds_left:,.0f} s"
    sources = f"{now.sources:,}" if now.planned else f"about {now.sources:,}, not all listed yet"
    facts = {
        "url": folder.url,
        "encoder": f"{encoder.model} ({encoder.runtime})" if encoder else "unknown",
        "sources": sources,
        "shards": f"{now.done:,} of {now.shards:,} done",
        "images": f"{now.images:,}",
        "failed": f"{now.failed:,}",
        "images/s": f"{now.images_per_second:,.1f}",
        "time left": left,
    }
    if now.abandoned:
        facts["given up"] = ", ".join(f"{shard:06}" for shard in now.abandoned)
    show.table(("", ""), list(facts.items()))
