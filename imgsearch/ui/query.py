"""Searches from the page: form values as an archive query, hits and warnings."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from operator import and_
from typing import Final, Literal

from imgsearch.archive import Archive, Found
from imgsearch.errors import ConfigError
from imgsearch.filters import Field, Filter, to_filter
from imgsearch.images import sources
from imgsearch.query import Mode, Query, SearchOptions

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

    def query(self) -> Query:
        """Return the weighted sum of picture and words. Terms with weight 0 are omitted.

        Raises:
            ConfigError: no term has a weight above 0.
            SourceError: the picture's file does not exist any more.
        """
        terms: list[tuple[Query, float]] = []
        if self.picture:
            terms.append((Query.image(sources.read(self.picture)), self.picture_weight))
        if self.words.strip():
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


def find(archive: Archive, search: SearchRequest) -> list[Found]:
    """Return at most `search.k` hits, nearest first.

    A name filter is applied to the 2,000 nearest hits only.

    Raises: the errors of `Archive.search` and `Archive.more_like`.
    """
    if not search.name:
        return _hits(archive, search, k=search.k)
    wanted = search.name.casefold()
    named = (hit for hit in _all_hits(archive, search) if wanted in hit.entry.name.casefold())
    return list(islice(named, search.k))


def text_warnings(archive: Archive, search: SearchRequest) -> str:
    """Return warnings about words that the encoder does not know, or "" if it knows all."""
    words = search.words.strip()
    if not words or search.like is not None:
        return ""
    warnings = archive.existing(search.collection).text_warnings(words)
    return " ".join(f"{warning}." for warning in warnings)


def _all_hits(archive: Archive, search: SearchRequest) -> Iterator[Found]:
    """Yield at most `_DEEPEST` hits, nearest first."""
    step = 200
    for offset in range(0, _DEEPEST, step):
        hits = _hits(archive, search, k=step, offset=offset)
        yield from hits
        if len(hits) < step:
            return


def _hits(archive: Archive, search: SearchRequest, *, k: int, offset: int = 0) -> list[Found]:
    options = SearchOptions(k, offset, search.condition(), search.min_score, search.hide_duplicates)
    if search.like is None:
        options = replace(options, mode=search.mode)
    if search.like is not None:
        return archive.more_like(search.like, options)
    return archive.search(search.query(), options, collection=search.collection)
