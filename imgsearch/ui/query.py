"""Searches from the page: form values as an archive query, hits and warnings."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from operator import and_
from typing import Final, Literal

from imgsearch.archive import Archive, Fetch, Found, Page
from imgsearch.errors import ConfigError
from imgsearch.filters import Field, Filter, to_filter
from imgsearch.images import sources
from imgsearch.query import Mode, Query, SearchOptions, is_url

_DEEPEST: Final = 2000  # nearest hits that are filtered by name


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """The form values of the search tab. `like` is the id of a stored image to search with."""

    collection: str
    picture: str | None = None
    words: str = ""
    picture_weight: float = 1.0
    words_weight: float = 1.0
    like: str | None = None
    k: int = 24
    min_score: float | Literal["auto"] | None = None
    label: str | None = None
    name: str = ""
    where: str = ""
    mode: Mode = "vector"
    hide_duplicates: bool = False

    @property
    def asks(self) -> bool:
        """Whether there is an image or a text to search with."""
        return bool(self.picture or self.words.strip() or self.like is not None)

    @property
    def narrowed(self) -> bool:
        """Whether a minimum score or a filter is set."""
        return bool(self.min_score is not None or self.label or self.name or self.where)

    def condition(self) -> Filter | None:
        """Return the filter on fields.

        Raises:
            FieldInvalid: `where` is not a filter.
        """
        conditions = [to_filter(self.where)] if self.where else []
        conditions += [Field("label") == self.label] if self.label else []
        return reduce(and_, conditions) if conditions else None

    @property
    def url(self) -> str:
        """The words if they are a URL, which stands for an image, else ""."""
        return self.words.strip() if is_url(self.words.strip()) else ""

    def query(self, fetch: Fetch | None) -> Query:
        """Return the weighted sum of picture and words. Terms with weight 0 are omitted.

        `fetch` downloads an image by URL.

        Raises:
            ConfigError: no term has a weight above 0, or `fetch` is None and the words are a URL.
            SourceError: the picture's file does not exist any more, or the URL is refused.
        """
        terms: list[tuple[Query, float]] = []
        if self.picture:
            terms.append((Query.image(sources.read(self.picture)), self.picture_weight))
        if self.url:
            terms.append((Query.image(_fetched(self.url, fetch)), self.words_weight))
        elif self.words.strip():
            terms.append((Query.text(self.words.strip()), self.words_weight))
        wanted = [(query, weight) for query, weight in terms if weight]
        if not any(weight > 0 for _, weight in wanted):
            raise ConfigError("give an image or some words, with a weight above 0")
        (first, weight), *others = sorted(wanted, key=lambda term: -term[1])
        whole = Query(first, weight=weight)
        for query, more in others:
            plus = whole.plus if more > 0 else whole.minus
            whole = plus(query, weight=abs(more))
        return whole


def find(archive: Archive, search: SearchRequest, *, fetch: Fetch | None = None) -> list[Found]:
    """Return at most `search.k` hits, nearest first.

    A name filter is applied to the 2,000 nearest hits only. `fetch` downloads an image by URL.

    Raises: the errors of `SearchRequest.query`, `Archive.search` and `Archive.more_like`.
    """
    query = None if search.like is not None else search.query(fetch)
    if not search.name:
        return _hits(archive, search, query, k=search.k)
    wanted = search.name.casefold()
    hits = _all_hits(archive, search, query)
    named = (hit for hit in hits if wanted in hit.entry.name.casefold())
    return list(islice(named, search.k))


def newest(archive: Archive, search: SearchRequest) -> Page:
    """Return the newest `search.k` images that match the filters.

    Raises:
        FieldInvalid: a filter is invalid.
        CatalogError: the catalog failed.
    """
    return archive.entries(
        search.collection,
        limit=search.k,
        descending=True,
        label=search.label,
        text=search.name or None,
        where=to_filter(search.where) if search.where else None,
    )


def _fetched(url: str, fetch: Fetch | None) -> bytes:
    if fetch is None:
        raise ConfigError(
            "images from URLs are not allowed here. Download the image, and upload it."
        )
    return fetch(url)


def text_warnings(archive: Archive, search: SearchRequest) -> str:
    """Return warnings about words that the encoder does not know, or "" if it knows all."""
    words = search.words.strip()
    if not words or search.url or search.like is not None:
        return ""
    warnings = archive.existing(search.collection).text_warnings(words)
    return " ".join(f"{warning}." for warning in warnings)


def _all_hits(archive: Archive, search: SearchRequest, query: Query | None) -> Iterator[Found]:
    """Yield at most `_DEEPEST` hits, nearest first."""
    step = 200
    for offset in range(0, _DEEPEST, step):
        hits = _hits(archive, search, query, k=step, offset=offset)
        yield from hits
        if len(hits) < step:
            return


def _hits(
    archive: Archive, search: SearchRequest, query: Query | None, *, k: int, offset: int = 0
) -> list[Found]:
    options = SearchOptions(k, offset, search.condition(), search.min_score, search.hide_duplicates)
    if query is None:
        return archive.more_like(search.like or "", options)
    options = replace(options, mode=search.mode)
    return archive.search(query, options, collection=search.collection)
