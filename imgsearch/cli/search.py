"""search: the nearest images, as a table, JSON or a page."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from imgsearch.cli import options, show
from imgsearch.errors import ImgSearchError
from imgsearch.page import Result, Thumb, results_page
from imgsearch.settings import Settings
from imgsearch.types import Hit

_SIDE = 256  # pixels of a thumbnail's longer side


@click.command()
@click.argument("query", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.store
@options.encoder
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 16_384))
@click.option("--offset", default=0, type=click.IntRange(0), help="Leave out so many nearer hits.")
@click.option("--min-score", type=float, help="Leave out hits with a lower score.")
@click.option(
    "--where",
    multiple=True,
    metavar="FIELD=TEXT",
    help="As in label=cat or label!=dog; repeatable.",
)
@options.as_json
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page of thumbnails.",
)
@click.option("--open", "show_page", is_flag=True, help="Open the page in a browser.")
def search(
    query: Path,
    db: str | None,
    collection: str,
    k: int,
    offset: int,
    min_score: float | None,
    where: tuple[str, ...],
    html: Path | None,
    **rest: Any,
) -> None:
    """Find the images nearest to the image QUERY.

    The library remembers its encoder; --weights tells where they lie, if they were moved.
    """
    condition = options.filtered(where)
    encoder = {name: rest[name] for name in ("model", "weights")}
    encoder["options"] = options.parsed(rest["options"])
    settings = Settings.from_environment()
    with options.library(settings, db, collection=collection, **encoder) as library:
        hits = library.search(query, k=k, offset=offset, where=condition, min_score=min_score)
        facts = {
            "encoder": library.recipe.model,
            "store": f"{library.url} ({library.count():,} images)",
        }
    if html is not None or rest["show_page"]:
        file = html or Path(tempfile.mkdtemp(prefix="imgsearch-")) / "results.html"
        title = f"Nearest to {query.name}"
        result = Result(thumb(str(query)), [hit_thumb(hit) for hit in hits], "")
        show.write(file, results_page(title, [result], facts=facts))
        show.note(f"page written to {file}")
        if rest["show_page"]:
            click.launch(str(file))
    if rest["as_json"]:
        show.echo_json([_plain(hit) for hit in hits])
    else:
        _print(hits, offset)


def thumb(path: str, *, score: float | None = None, relevant: bool | None = None) -> Thumb:
    """Return the picture of a file for a page; an empty one where it cannot be read any more."""
    from imgsearch.images import decode, thumbnail
    from imgsearch.sources import read

    name = Path(path)
    caption = f"{name.parent.name}/{name.name}"
    try:
        jpeg = thumbnail(decode(read(path), path=path), side=_SIDE)
    except ImgSearchError:
        jpeg, caption = b"", f"{caption} (cannot be read)"
    return Thumb(jpeg=jpeg, caption=caption, score=score, relevant=relevant, title=path)


def hit_thumb(hit: Hit, *, relevant: bool | None = None) -> Thumb:
    """Return the picture of a hit."""
    return thumb(str(hit.fields.get("path", "")), score=hit.score, relevant=relevant)


def _print(hits: Sequence[Hit], offset: int) -> None:
    rows = [
        (
            str(rank),
            f"{hit.score:.4f}",
            str(hit.fields.get("label", "")),
            str(hit.fields.get("path", hit.id)),
        )
        for rank, hit in enumerate(hits, offset + 1)
    ]
    if rows:
        show.table(("rank", "score", "label", "path"), rows, right=2)
    else:
        show.note("nothing found")


def _plain(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id, "score": hit.score, "distance": hit.distance, "fields": dict(hit.fields),
    }  # fmt: skip
