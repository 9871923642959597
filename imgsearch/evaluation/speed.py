"""How fast: the time of one query, its embedding and its search apart, and of many at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final, TypeVar

import numpy as np

from imgsearch.backends import Collection
from imgsearch.library.embedding import Embedding
from imgsearch.types import Vector

T = TypeVar("T")

_WARM_UP: Final = 3  # calls that are not counted
_SECONDS: Final = 5.0  # of one kind of call; a slow model gets fewer of them
_MOST: Final = 100  # calls of one kind
_IMAGES: Final = 256  # embedded at once


@dataclass(frozen=True)
class Latency:
    """Seconds that one call took, of `n` calls one after another."""

    p50: float
    p95: float
    p99: float
    n: int


@dataclass(frozen=True)
class Speed:
    """`embedding` of one query and `search` for one vector; and of many, how many a second.

    `images_a_second`: files read, decoded and embedded on all cores, of `images` images.
    `searches_a_second`: vectors searched for in one call. Both 0.0 where nothing was measured.
    """

    embedding: Latency
    search: Latency
    images_a_second: float
    images: int
    searches_a_second: float
    searches: int


def measured(
    embed: Sequence[Callable[[], Vector | None]],
    collection: Collection,
    step: Embedding,
    paths: Sequence[str],
    *,
    k: int,
) -> Speed | None:
    """Return how long queries take: `embed` has a call for each, that gives its vector.

    `step` embeds `paths`, image files of the gallery. At most 100 calls of each kind, for five
    seconds. None where no query has a vector.
    """
    embedding, made = _latency(embed)
    vectors = [vector for vector in made if vector is not None]
    if embedding is None or not vectors:
        return None
    rows = [np.ascontiguousarray(vector.reshape(1, -1)) for vector in vectors]
    search, _ = _latency([partial(collection.search, row, k=k) for row in rows])
    if search is None:
        return None
    matrix = np.concatenate(rows)
    collection.search(matrix, k=k)
    started = monotonic()
    collection.search(matrix, k=k)
    searching = monotonic() - started
    some = list(paths[:_IMAGES])
    step(some[:_WARM_UP])
    started = monotonic()
    step(some)
    return Speed(
        embedding=embedding,
        search=search,
        images_a_second=len(some) / max(monotonic() - started, 1e-9),
        images=len(some),
        searches_a_second=len(matrix) / max(searching, 1e-9),
        searches=len(matrix),
    )


def _latency(calls: Sequence[Callable[[], T]]) -> tuple[Latency | None, list[T]]:
    """Call each, the first few before as well; return the times and what came, None where none."""
    for call in calls[:_WARM_UP]:
        call()
    seconds: list[float] = []
    made: list[T] = []
    begun = monotonic()
    for call in calls[:_MOST]:
        started = monotonic()
        made.append(call())
        seconds.append(monotonic() - started)
        if monotonic() - begun > _SECONDS:
            break
    if not seconds:
        return None, made
    p50, p95, p99 = (float(each) for each in np.quantile(seconds, (0.5, 0.95, 0.99)))
    return Latency(p50, p95, p99, len(seconds)), made
