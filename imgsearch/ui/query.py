"""What a visitor asks for, as a search of the archive, and what there is to say about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from imgsearch.archive import Archive, Found
from imgsearch.errors import ConfigError
from imgsearch.filters import Field, Filter
from imgsearch.images import sources
from imgsearch.library.query import Query

_DEEPEST: Final = 2000  # hits looked through for a name before giving up


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as the page's fields have it; `like` is the id of an image that is there."""

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
    hide_duplicates: bool = False

    @property
    def narrowed(self) -> bool:
        """Whether anything but the number keeps images away."""
        return bool(self.min_score is not None or self.label or self.name)

    def query(self) -> Query:
        """Return the sum of the picture and the words; a weight of 0 leaves its part out.

        Raises:
            ConfigError: nothing is left of it.
            SourceError: the picture's file is gone.
        """
        terms: list[tuple[Query, float]] = []
        if self.picture:
            terms.append((Query.image(sources.read(self.picture)), self.picture_weight))
        if self.words.strip():
            terms.append((Query.text(self.words.strip()), self.words_weight))
        wanted = [(query, weight) for query, weight in terms if weight]
        if not any(weight > 0 for _, weight in wanted):
            raise ConfigError("Give an image, or some words, with a weight above 0.")
        (first, weight), *others = sorted(wanted, key=lambda term: -term[1])
        whole = Query(first, weight=weight)
        for query, more in others:
            plus = whole.plus if more > 0 else whole.minus
            whole = plus(query, weight=abs(more))
        return whole


def find(archive: Archive, asked: Asked) -> list[Found]:
    """Return the hits, nearest first, at most `asked.k`.

    Raises: as `Archive.search` does.
    """
    if not asked.name:
        return _hits(archive, asked, k=asked.k)
    wanted = asked.name.casefold()
    named = (each for each in _all(archive, asked) if wanted in each.entry.name.casefold())
    return [found for found, _ in zip(named, range(asked.k), strict=False)]


def warnings_of(archive: Archive, asked: Asked) -> str:
    """Return warnings about words that the collection's encoder cannot read, "" if it reads all."""
    words = asked.words.strip()
    if not words or asked.like is not None:
        return ""
    warnings = archive.existing(asked.collection).text_warnings(words)
    return " ".join(f"{warning}." for warning in warnings)


def _all(archive: Archive, asked: Asked) -> Iterator[Found]:
    """Yield hits one after another, as many as are looked through."""
    step = 200
    for offset in range(0, _DEEPEST, step):
        found = _hits(archive, asked, k=step, offset=offset)
        yield from found
        if len(found) < step:
            return


def _hits(archive: Archive, asked: Asked, **page: int) -> list[Found]:
    where: Filter | None = Field("label") == asked.label if asked.label else None
    told: dict[str, Any] = {
        **page,
        "where": where,
        "min_score": asked.min_score,
        "hide_duplicates": asked.hide_duplicates,
    }
    if asked.like is not None:
        return archive.more_like(asked.like, **told)
    return archive.search(asked.query(), collection=asked.collection, **told)
