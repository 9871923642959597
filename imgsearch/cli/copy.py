"""copy: copy a collection to another store, and verify it."""

from dataclasses import asdict
from typing import Any

import click

from imgsearch.cli import options, outcomes, show
from imgsearch.settings import Settings
from imgsearch.text import counted


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--collection", default="images", show_default=True, help="Collection to copy.")
@click.option("--as", "name", metavar="NAME", help="Name of the copy, if it differs.")
@click.option(
    "--alias",
    metavar="NAME",
    help="Name whose readers change over to a new collection, once the copy is verified.",
)
@click.option(
    "--writers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of threads that write.",
)
@click.option(
    "--bulk",
    is_flag=True,
    help="Let a Milvus server import the files of a job, into a new collection.",
)
@click.option(
    "--bucket",
    metavar="PLACE",
    help="Folder or s3://BUCKET/PREFIX from which the server reads; by default the job's own.",
)
@click.option(
    "--min-recall",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="Least ANN recall of a bulk copy, at 10 hits.",
)
@options.index
@options.partition
@options.as_json
def copy(
    source: str,
    target: str,
    collection: str,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    **choices: Any,
) -> None:
    """Copy a collection to another store, and verify the copy.

    FROM and TO are store URLs, as for --db. Vectors are copied without reading the images. An
    interrupted copy can be run again, and nothing is deleted in TO. The copy has the source's index
    and metric, unless --index or --metric is given. A TO that ends in .parquet is a file of ids,
    vectors and fields, which is written anew; it is searched like a store, but never added to.

    With --alias the copy is a new collection, and the one that readers used before is kept:
    `imgsearch migrate --drop-old` deletes it. FROM may be the folder of a job (`imgsearch embed`),
    whose files a Milvus server imports with --bulk; docs/bulk.md has the details.
    """
    from imgsearch.library import stores
    from imgsearch.library.copy import copy as copy_collection

    settings = Settings.from_environment()
    stores.require(source)
    if target.endswith(".parquet"):
        with options.open_library(settings, source, collection=collection) as library:
            rows = library.to_parquet(target)
        if as_json:
            show.echo_json({"copied": rows})
        else:
            show.note(f"{counted(rows, 'row')} written to {target}")
        return
    with (
        stores.connected(source, target, settings=settings) as (origin, destination),
        show.progress(hidden=as_json) as bars,
    ):
        done = copy_collection(
            origin,
            destination,
            collection,
            **choices,
            bucket_token=settings.token(bucket) if (bucket := choices["bucket"]) else None,
            on_progress=lambda count, total: bars.update("copying", count, total),
        )
    if as_json:
        show.echo_json(asdict(done))
    else:
        show.note(
            f"Copied {counted(done.copied, 'row')} in {outcomes.duration(done.seconds)}; "
            f"{done.skipped:,} skipped (already in the copy); "
            f"compared {counted(done.compared, 'vector')}, all equal"
        )
        if done.recall is not None:
            show.note(f"searches of the copy find {done.recall:.3f} of the exact neighbors (ANN)")
        if done.doubled:
            show.note(
                f"{counted(done.doubled, 'row')} not copied, because the source has another row "
                "with the same id"
            )
