"""Joins the rankings of several searches, such as those of two encoders over the same images."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

from imgsearch.errors import ConfigError
from imgsearch.library.hits import Hits
from imgsearch.library.interface import SearchableImages
from imgsearch.query import Example, Query, SearchOptions
from imgsearch.types import MAX_K, Hit, check_score

RANK: Final = 60  # Source: G. Cormack et al., Reciprocal Rank Fusion, SIGIR 2009
_DEPTH: Final = 100  # ranks that are joined at least
_THREADS: Final = 8

Method: TypeAlias = Literal["rank", "score"]


def search_fused(
    libraries: Sequence[SearchableImages],
    query: Query | Example | Sequence[Query | Example],
    *,
    weights: Sequence[float] | None = None,
    method: Method = "rank",
    k: int = 10,
    offset: int = 0,
    **options: Any,
) -> Hits:
    """Search several libraries with the same images, and return one ranking of them.

    The libraries have different encoders, such as one for content and one for copies. Images are
    joined by the sha256 of their bytes. `query` may be a list with a query for each library, such
    as an image for one and a text for the other. Further `options` are those of `search`, such as
    `where`, for all libraries.

    `method` "rank" adds weight / (60 + rank) for each library that found an image among its nearest
    100, or `k` + `offset` if that is more. "score" adds weight * score, each library's scores
    scaled to [0, 1]; an image that a library did not find counts 0. The sum is the score of a hit;
    its other values are those of the first library that found it. `weights` are 1 by default.

    >>> import imgsearch, numpy as np
    >>> noise = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8)
    >>> with imgsearch.open("memory://a", model="classic") as a:
    ...     with imgsearch.open("memory://b", model="lite") as b:
    ...         _ = a.add(noise, progress=False), b.add(noise, progress=False)
    ...         hits = search_fused([a, b], noise[0], k=2)
    >>> [round(hit.score, 4) for hit in hits][0]  # rank 1 twice: 2 / 61
    0.0328

    Raises:
        ConfigError: the numbers of libraries, queries and weights differ, a weight is not above 0,
            or `method` is unknown.
        ImgSearchError: an error of `search`.
    """
    if not libraries:
        raise ConfigError("there are no libraries to search.")
    if method not in ("rank", "score"):
        raise ConfigError(f'invalid method {method!r}: use "rank" or "score".')
    queries = _of_each(query, len(libraries))
    shares = _checked_weights(weights, len(libraries))
    depth = min(MAX_K, max(_DEPTH, k + offset))
    ordered = SearchOptions(k=k, offset=offset, order_by=options.pop("order_by", None))
    search = replace(ordered, k=depth, offset=0, order_by=None, **options)
    with ThreadPoolExecutor(min(_THREADS, len(libraries)), "imgsearch-fusion") as pool:
        rankings = list(pool.map(lambda one, q: one.search_with(q, search), libraries, queries))
    hits = fused(rankings, weights=shares, method=method, key=_content)
    return Hits(ordered.ordered(hits[offset : offset + k]))


def fused(
    rankings: Sequence[Sequence[Hit]],
    *,
    weights: Sequence[float] | None = None,
    method: Method = "rank",
    key: "Callable[[Hit], str] | None" = None,
) -> list[Hit]:
    """Return the hits of several rankings as one, best first; see `search_fused`.

    `key` returns the text by which hits are joined: by default the image's id.
    """
    key = key or _image
    scores: dict[str, float] = {}
    best: dict[str, Hit] = {}
    for weight, hits in zip(weights or [1.0] * len(rankings), rankings, strict=True):
        for place, share in enumerate(_shares(hits, method)):
            image = key(hits[place])
            scores[image] = scores.get(image, 0.0) + weight * share
            best.setdefault(image, hits[place])
    order = sorted(scores, key=lambda image: -scores[image])
    return [replace(best[image], score=scores[image], distance=-scores[image]) for image in order]


def _shares(hits: Sequence[Hit], method: Method) -> list[float]:
    """Return what each hit of one ranking adds to its image, with weight 1."""
    if method == "rank":
        return [1 / (RANK + rank) for rank in range(1, len(hits) + 1)]
    values = [hit.score for hit in hits]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return [(value - low) / (high - low) if high > low else 1.0 for value in values]


def _of_each(query: Any, number: int) -> list[Any]:
    """Return the query of each library.

    Raises:
        ConfigError: there are more or fewer queries.
    """
    if not isinstance(query, list | tuple) or (
        query and isinstance(query[0], int | float)
    ):  # a list of numbers: a vector
        return [query] * number
    if len(query) != number:
        raise ConfigError(f"there are {len(query)} queries for {number} libraries.")
    return list(query)


def _checked_weights(weights: Sequence[float] | None, number: int) -> list[float]:
    if weights is None:
        return [1.0] * number
    if len(weights) != number:
        raise ConfigError(f"there are {len(weights)} weights for {number} libraries.")
    checked = [check_score("weight", weight) for weight in weights]
    if min(checked) <= 0:
        raise ConfigError(f"weights must be above 0, not {min(checked):g}.")
    return checked


def _image(hit: Hit) -> str:
    return str(hit.fields.get("image") or hit.id)


def _content(hit: Hit) -> str:
    """Return the sha256 of a hit's image; hits of a service have it in a field."""
    return str(hit.fields.get("content") or _image(hit))
