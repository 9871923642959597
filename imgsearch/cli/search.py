"""search: print the nearest images as a table or JSON, or write an HTML page."""

import re
import shlex
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import click

from imgsearch.cli import garbage, options, show, terminal_images
from imgsearch.cli.option_values import parse_where, score
from imgsearch.errors import EncoderWarning, ImgSearchError, TextWarning
from imgsearch.images import MAX_PIXELS, small
from imgsearch.images.moments import title
from imgsearch.library import stores
from imgsearch.library.preload import Preload
from imgsearch.library.query_downloads import downloaded
from imgsearch.query import MODES, Query
from imgsearch.report.html import Result, Thumb, results_page
from imgsearch.settings import Settings
from imgsearch.text import counted
from imgsearch.types import Hit

_SIDE = 256  # pixels of a thumbnail's longer side
SIGNS: Final = ("+", "-")
"""The words between two terms of a query."""
_WARNINGS: Final = (TextWarning, EncoderWarning)
_WEIGHTED: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\*(.+)", re.DOTALL)
_READINGS: Final = {"text": Query.text, "image": Query.image}


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="QUERY")
@options.store
@options.encoder
@options.pipeline
@options.max_pixels
@options.fields
@options.url_hosts
@click.option(
    "-k", default=10, show_default=True, type=click.IntRange(1, 16_384), help="Number of hits."
)
@click.option("--offset", default=0, type=click.IntRange(0), help="Number of hits to skip first.")
@click.option(
    "--min-score",
    metavar="FLOAT|auto",
    callback=score,
    help="Leave out hits with a lower score; auto: the score that `imgsearch threshold` chose.",
)
@click.option(
    "--hide-duplicates",
    is_flag=True,
    help="Leave out near-duplicates of nearer hits, by the score that `imgsearch dedup` chose; "
    "pixels are not compared.",
)
@click.option(
    "--effort",
    type=click.IntRange(1),
    help="Search effort: ef of HNSW, nprobe of IVF; see `imgsearch tune`.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="FILTER",
    help='Filter on fields: "label in (cat, dog) and year >= 2019" or "path under photos"; '
    "repeatable, all must hold.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="vector",
    show_default=True,
    help="Compare vectors, or the words of the query with path, label and text fields, or both.",
)
@click.option(
    "--order-by", metavar="[-]FIELD", help="Sort the hits by a field; - for descending order."
)
@options.as_json
@click.option("-f", "--paths", is_flag=True, help="Print only the paths, one per line.")
@click.option("-0", "--print0", is_flag=True, help="Print only the paths, with NUL after each.")
@options.preview
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page of thumbnails.",
)
@click.option("--open", "show_page", is_flag=True, help="Open the page in a browser.")
def search(
    words: tuple[str, ...],
    db: str | None,
    collection: str,
    k: int,
    offset: int,
    min_score: float | Literal["auto"] | None,
    effort: int | None,
    where: tuple[str, ...],
    html: Path | None,
    **rest: Any,
) -> None:
    """Find the images nearest to an image or a text.

    QUERY is an image file, or a text if the library's encoder embeds texts. Terms are added with +
    and subtracted with -; NUMBER* before a term sets its weight:

        imgsearch search cat.jpg

        imgsearch search "a dog" + "snow" - 0.5*cat.jpg

    A term that is the path of a file, or an http or https URL, is an image; text:WORDS and
    image:FILE set the kind. The library stores its encoder's name; use --weights if the weights
    file was moved. If another program created the collection, --model selects the encoder, and
    --path-field and --label-field name the path and label fields.
    """
    paths = rest["paths"] or rest["print0"]
    if paths and rest["as_json"]:
        raise click.UsageError("--json and --paths exclude each other")
    query = downloaded(parse_query(words), rest["url_hosts"])
    condition = parse_where(where)
    encoder: dict[str, Any] = {
        name: rest[name] for name in ("model", "weights", "max_pixels", "steps")
    }
    encoder |= {"options": options.parse_options(rest["options"]), **options.field_names(rest)}
    settings = Settings.from_environment()
    preload = preload_of(settings, db, collection, encoder)
    preload.start(term.kind for term in query.terms)
    with (
        garbage.paused(),
        options.read_library(settings, db, collection=collection, **encoder) as library,
    ):
        with warnings_as_notes():
            hits = library.search(
                query,
                k=k,
                offset=offset,
                where=condition,
                min_score=min_score,
                hide_duplicates=rest["hide_duplicates"],
                effort=effort,
                order_by=rest["order_by"],
                mode=rest["mode"],
            )
        preload.remember(library.recipe if library.model else None)
        _note_hidden(library, hidden=rest["hide_duplicates"])
        if condition is not None and not hits and not library.count(condition):
            show.note(f"No image matches --where {' --where '.join(map(shlex.quote, where))}")
        facts = {
            "encoder": library.model or "unknown",
            "store": f"{library.url} ({counted(library.count(), 'image')})",
        }
    if html is not None or rest["show_page"]:
        file = html or Path(tempfile.mkdtemp(prefix="imgsearch-")) / "results.html"
        name, picture = _title(parse_query(words), query, encoder["max_pixels"])
        thumbs = [hit_thumb(hit, max_pixels=encoder["max_pixels"]) for hit in hits]
        result = Result(picture, thumbs, "")
        show.write(file, results_page(f"Nearest to {name}", [result], facts=facts))
        show.note(f"Page written to {file}")
        if rest["show_page"]:
            click.launch(str(file))
    if rest["as_json"]:
        show.echo_json([hit_json(hit) for hit in hits])
    elif paths:
        show.paths([hit_path(hit) for hit in hits], nul=rest["print0"])
    else:
        terminal_images.preview(hits, wanted=rest["preview"], offset=offset)
        print_hits(hits, offset)
    if not hits and not rest["as_json"]:
        show.note("No images found")


def preload_of(
    settings: Settings, db: str | None, collection: str, encoder: Mapping[str, Any]
) -> Preload:
    """Return the preload of the encoder that was last used with these arguments."""
    named = (encoder[name] for name in ("model", "weights", "options"))
    return Preload(settings.cache, (stores.canonical(db or settings.store), collection, *named))


def _note_hidden(library: Any, *, hidden: bool) -> None:
    if hidden:
        show.note(
            f"near-duplicates with a score of {library.thresholds.duplicates():.4f} or more are "
            "hidden; their pixels were not compared"
        )


def thumb(
    path: str,
    *,
    score: float | None = None,
    relevant: bool | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Thumb:
    """Return a file's thumbnail for an HTML page; it has no picture if the file is unreadable."""
    from imgsearch.images.sources import read

    name = Path(path)
    caption = f"{name.parent.name}/{title(path, short=True)}"
    try:
        jpeg = small(read(path), side=_SIDE, path=path, max_pixels=max_pixels)
    except ImgSearchError:
        jpeg, caption = b"", f"{caption} (cannot be read)"
    return Thumb(jpeg=jpeg, caption=caption, score=score, relevant=relevant, title=path)


def hit_thumb(hit: Hit, *, relevant: bool | None = None, max_pixels: int = MAX_PIXELS) -> Thumb:
    """Return a hit's thumbnail for an HTML page."""
    path = str(hit.fields.get("path", ""))
    return thumb(path, score=hit.score, relevant=relevant, max_pixels=max_pixels)


def parse_query(words: Sequence[str]) -> Query:
    """Parse a query: terms with + or - between them.

    Raises:
        click.UsageError: a sign or a term is missing.
        ConfigError, SourceError: as for `Query`.
    """
    terms, signs = words[::2], words[1::2]
    if any(sign not in SIGNS for sign in signs):
        raise click.UsageError(
            "put a text of several words in quotes, and + or - between two terms, e.g. "
            'imgsearch search "a dog" + snow - cat.jpg'
        )
    if len(terms) == len(signs) or any(term in SIGNS for term in terms):
        raise click.UsageError("put each + and - between two terms")
    query, *others = [_term(term, alone=len(terms) == 1) for term in terms]
    for sign, other in zip(signs, others, strict=True):
        query = query.plus(other) if sign == "+" else query.minus(other)
    return query


def _term(word: str, *, alone: bool) -> Query:
    """Parse ``TERM`` or ``WEIGHT*TERM``; a term may start with ``text:`` or ``image:``.

    A query of one text may start like a weight, e.g. "2*2 white tiles", because a single term needs
    no weight.
    """
    weighted = _WEIGHTED.fullmatch(word)
    weight, text = (float(weighted[1]), weighted[2]) if weighted else (1.0, word)
    reading, colon, rest = text.partition(":")
    if colon and reading in _READINGS:
        return _READINGS[reading](rest, weight=weight)
    query = Query(text, weight=weight)
    return Query.text(word) if alone and weighted and query.terms[0].kind == "text" else query


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print imgsearch's warnings as one line each; other warnings keep their format."""
    with warnings.catch_warnings():  # restores filters and showwarning
        for category in _WARNINGS:
            warnings.simplefilter("always", category)
        default = warnings.showwarning

        def showwarning(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, _WARNINGS):
                show.note(f"Warning: {message}")
            else:
                default(message, category, filename, lineno, file, line)

        warnings.showwarning = showwarning
        yield


def _title(named: Query, query: Query, max_pixels: int) -> tuple[str, Thumb]:
    """Return a query's name and thumbnail for an HTML page; only a single image has a picture.

    `named` is the query with URLs, `query` the one with the downloaded images.
    """
    (first, *others), name = query.terms, str(named)
    if first.kind != "image" or others:
        return name, Thumb(jpeg=b"", caption=name)
    if not isinstance(first.value, bytes):
        return Path(str(first.value)).name, thumb(str(first.value), max_pixels=max_pixels)
    try:
        jpeg = small(first.value, side=_SIDE, path=name, max_pixels=max_pixels)
    except ImgSearchError:
        jpeg = b""
    return name, Thumb(jpeg=jpeg, caption=name, title=name)


def print_hits(hits: Sequence[Hit], offset: int = 0) -> None:
    """Print hits as a table, nearest first, with their ranks from `offset` + 1."""
    rows = [
        (
            str(rank),
            f"{hit.score:.4f}",
            str(hit.fields.get("label", "")),
            title(hit_path(hit)),
        )
        for rank, hit in enumerate(hits, offset + 1)
    ]
    if rows:
        show.table(("rank", "score", "label", "path"), rows, right=2)


def hit_path(hit: Hit) -> str:
    """Return a hit's path, or its id if it has none."""
    return str(hit.fields.get("path", hit.id))


def hit_json(hit: Hit) -> dict[str, Any]:
    """Return a hit as JSON."""
    return {
        "id": hit.id, "score": hit.score, "distance": hit.distance, "fields": dict(hit.fields),
    }  # fmt: skip
