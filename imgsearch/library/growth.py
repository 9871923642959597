"""Advice to move out of the embedded store, whose searches take longer with each row."""

import shlex
from statistics import median
from time import perf_counter
from typing import Final

import numpy as np

from imgsearch import backends
from imgsearch.backends import Collection

MANY: Final = 100_000
"""The number of rows from which to move; see docs/scale.md."""

_SEARCHES: Final = 3  # timed, after one that loads the index
_SEED: Final = 2026  # of the vectors to search for


def advice(url: str, collection: Collection, *, name: str | None = None) -> str:
    """Return a line with the time of a search and the command that copies the collection.

    Returns "" for a collection with fewer than `MANY` rows, and for stores that are not embedded.
    `url` is canonical. `name` is the collection's name in the command, if it is a version's.

    Raises:
        BackendError: the store failed.
    """
    if not backends.is_embedded(url) or (rows := collection.count()) < MANY:
        return ""
    seconds = search_seconds(collection)
    path = shlex.quote(url.partition("://")[2])
    named = name or collection.name
    option = "" if named == "images" else f" --collection {named}"
    return (
        f"{rows:,} rows in the embedded store: a search takes {seconds * 1000:,.0f} ms, and more "
        f"with each row. Move to a server: imgsearch copy {path} milvus://HOST:19530{option}"
    )


def search_seconds(collection: Collection, *, k: int = 10) -> float:
    """Return the median wall-clock time of some searches of a collection, in seconds."""
    queries = np.random.default_rng(_SEED).normal(size=(_SEARCHES + 1, 1, collection.schema.dim))
    times = []
    for query in queries.astype(np.float32):
        started = perf_counter()
        collection.search(query / np.linalg.norm(query), k=k)
        times.append(perf_counter() - started)
    return median(times[1:])
