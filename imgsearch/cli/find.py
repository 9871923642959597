"""find: add a folder's new images, and search the folder, in one command."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from imgsearch.cli import garbage, options, show, terminal_images
from imgsearch.cli.option_values import parse_where, score
from imgsearch.cli.search import (
    SIGNS,
    hit_json,
    hit_path,
    parse_query,
    preload_of,
    print_hits,
    warnings_as_notes,
)
from imgsearch.errors import SyncRefused
from imgsearch.filters import Field
from imgsearch.images.sources import printable
from imgsearch.library.progress import Progress, SyncReport
from imgsearch.library.query_downloads import downloaded
from imgsearch.settings import Settings, own_store
from imgsearch.text import counted

_MOST = 16_384  # hits; the limit of Milvus


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="QUERY [FOLDER]")
@options.store
@options.encoder
@options.url_hosts
@options.max_pixels
@click.option(
    "-k", default=10, show_default=True, type=click.IntRange(1, _MOST), help="Number of hits."
)
@click.option(
    "--min-score",
    metavar="FLOAT|auto",
    callback=score,
    help="Leave out hits with a lower score; auto: the score that `imgsearch threshold` chose.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="FILTER",
    help='Filter on fields, as for `imgsearch search`, e.g. "label in (cat, dog)"; repeatable.',
)
@options.frames("none")
@click.option("--no-update", is_flag=True, help="Search only what was added before.")
@options.as_json
@click.option("-f", "--paths", is_flag=True, help="Print only the paths, one per line.")
@click.option("-0", "--print0", is_flag=True, help="Print only the paths, with NUL after each.")
@options.preview
def find(
    words: tuple[str, ...],
    db: str | None,
    collection: str,
    k: int,
    min_score: float | Literal["auto"] | None,
    where: tuple[str, ...],
    **rest: Any,
) -> None:
    """Find images in a folder, whose new images are added first.

    FOLDER is the current folder unless it is given. Only its images are found. QUERY is written as
    for `imgsearch search`:

        cd photos; imgsearch find "a dog in the snow"

        imgsearch find cat.jpg ~/photos -f | xargs ls -l

    Images are added to a library of your own, library.db in the user's folder for data, unless --db
    or IMGSEARCH_DB names a store. It is kept in step with the folder, as by `imgsearch sync`;
    unchanged files are not read. The files stay as they are.
    """
    if rest["as_json"] and (rest["paths"] or rest["print0"]):
        raise click.UsageError("--json and --paths exclude each other")
    terms, folder = _split(words)
    condition = Field("path").under(printable(folder))
    if (filtered := parse_where(where)) is not None:
        condition &= filtered
    query = downloaded(parse_query(terms), rest["url_hosts"])
    settings = Settings.from_environment()
    encoder = {name: rest[name] for name in ("model", "weights", "max_pixels")}
    encoder["options"] = options.parse_options(rest["options"])
    url = db or settings.db or _own_store()
    preload_of(settings, url, collection, encoder).start(term.kind for term in query.terms)
    with (
        garbage.paused(),
        options.open_library(settings, url, new=True, collection=collection, **encoder) as library,
    ):
        if not rest["no_update"]:
            _update(library, folder, frames=rest["frames"], hidden=rest["as_json"])
        hits = []
        if library.exists():
            with warnings_as_notes():
                hits = library.search(query, k=k, where=condition, min_score=min_score)
            preload_of(settings, url, collection, encoder).remember(library.recipe)
    if rest["as_json"]:
        show.echo_json([hit_json(hit) for hit in hits])
    elif rest["paths"] or rest["print0"]:
        show.paths([hit_path(hit) for hit in hits], nul=rest["print0"])
    else:
        terminal_images.preview(hits, wanted=rest["preview"])
        print_hits(hits)
    if not (hits or rest["as_json"]):
        show.note(f"No images found in {show.printable(folder)}")


def _split(words: Sequence[str]) -> tuple[Sequence[str], str]:
    """Return the words of the query, and the folder that follows them, or the current folder."""
    *terms, last = words
    if terms and terms[-1] not in SIGNS and last not in SIGNS:
        # as in stored paths: absolute, with symbolic links kept
        folder = os.path.abspath(os.path.expanduser(last))  # noqa: PTH100, PTH111
        if not Path(folder).is_dir():
            raise click.UsageError(
                f"{last!r} is not a folder; put a text of several words in quotes, and + or - "
                "between two terms"
            )
        return terms, folder
    return words, str(Path.cwd())


def _own_store() -> str:
    """Return the path of the user's own library, whose folder is created if it is missing."""
    store = own_store()
    store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return str(store)


def _update(library: Any, folder: str, *, frames: str, hidden: bool) -> None:
    """Bring the library in step with a folder, whose unchanged files are not read."""
    with show.progress(hidden=hidden) as bars:

        def update(now: Progress) -> None:
            bars.update("adding", now.done, now.found, f"{now.added} added, {now.failed} failed")

        try:
            report: SyncReport = library.sync(folder, frames=frames, on_progress=update)
        except SyncRefused as error:
            show.note(f"The folder was not updated: {error}")
            return
    counts = {name: getattr(report, name) for name in ("added", "changed", "renamed", "deleted")}
    if any(counts.values()) and not hidden:
        changes = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number)
        show.note(f"Folder updated: {changes}")
    if report.failed and not hidden:
        files = counted(report.failed, "file")
        show.note(
            f"{files} could not be read. To list them: imgsearch sync {show.printable(folder)}"
        )
