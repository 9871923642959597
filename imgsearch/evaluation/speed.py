"""The speed of embedding and search: latency of one query, throughput of many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final, TypeVar

import numpy as np

from imgsearch.backends import Collection
from imgsearch.encoders.embedding import Embedding
from imgsearch.types import Vector

T = TypeVar("T")

_WARM_UP: Final = 3  # untimed calls
_SECONDS: Final = 5.0  # time limit for all calls of one kind; a slow model gets fewer calls
_MOST: Final = 100  # limit for the calls of one kind
_IMAGES: Final = 256  # images embedded in one call


@dataclass(frozen=True)
class Latency:
    """Percentiles of the duration of a call in seconds, over `n` sequential calls."""

    p50: float
    p95: float
    p99: float
    n: int


@dataclass(frozen=True)
class Speed:
    """The latency of one query, and the throughput of many.

    `images_a_second` measures reading, decoding and embedding `images` files on all cores.
    `searches_a_second` measures one call that searches for `searches` vectors.
    """

    embedding: Latency
    search: Latency
    images_a_second: float
    images: int
    searches_a_second: float
    searches: int


def measure_speed(
    embed: Sequence[Callable[[], Vector | None]],
    collection: Collection,
    step: Embedding,
    paths: Sequence[str],
    *,
    k: int,
) -> Speed | None:
    """Measure latency and throughput; return None if no query has a vector.

    `embed` has one call per query, which returns its vector. `step` embeds `paths`, image files of
    the gallery. Of each kind at most 100 calls are measured, for about five seconds.
    """
    embedding, results = _measure_latency(embed)
    vectors = [vector for vector in results if vector is not None]
    if embedding is None or not vectors:
        return None
    rows = [np.ascontiguousarray(vector.reshape(1, -1)) for vector in vectors]
    search, _ = _measure_latency([partial(collection.search, row, k=k) for row in rows])
    if search is None:
        return None
    matrix = np.concatenate(rows)
    collection.search(matrix, k=k)
    started = monotonic()
    collection.search(matrix, k=k)
    searching = monotonic() - started
    batch = list(paths[:_IMAGES])
    step(batch[:_WARM_UP])
    started = monotonic()
    step(batch)
    return Speed(
        embedding=embedding,
        search=search,
        images_a_second=len(batch) / max(monotonic() - started, 1e-9),
        images=len(batch),
        searches_a_second=len(matrix) / max(searching, 1e-9),
        searches=len(matrix),
    )


def _measure_latency(calls: Sequence[Callable[[], T]]) -> tuple[Latency | None, list[T]]:
    """Return the latency of the calls after a warm-up, and their results.

    The latency is None if there are no calls.
    """
    for call in calls[:_WARM_UP]:
        call()
    seconds: list[float] = []
    results: list[T] = []
    first_start = monotonic()
    for call in calls[:_MOST]:
        started = monotonic()
        results.append(call())
        seconds.append(monotonic() - started)
        if monotonic() - first_start > _SECONDS:
            break
    if not seconds:
        return None, results
    p50, p95, p99 = map(float, np.quantile(seconds, (0.5, 0.95, 0.99)))
    return Latency(p50, p95, p99, len(seconds)), results
