"""Finds the hits of an encoded query in one collection."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from imgsearch.backends import Collection
from imgsearch.backends.regions import search_images
from imgsearch.library.duplicates import search_distinct
from imgsearch.library.thresholds import Thresholds
from imgsearch.query import EncodedQuery, SearchOptions
from imgsearch.types import Hit

StoreSearch = Callable[..., list[Hit]]
"""A search with the arguments collection, vector and `Collection.search`'s options by name."""


class HitFinder:
    """Searches for one query: the last step of a library's search pipeline.

    "auto" thresholds are resolved here, by the kinds of the query. `search` replaces the
    collection's own search; it may combine queries.
    """

    def __init__(
        self,
        collection: Collection,
        thresholds: Thresholds,
        options: SearchOptions,
        search: StoreSearch | None = None,
    ) -> None:
        self._collection, self._thresholds = collection, thresholds
        self._options, self._search = options, search

    def __call__(self, query: EncodedQuery) -> list[Hit]:
        """Return the hits, nearest first.

        Raises:
            EncoderMismatch: another encoder made the collection's vectors.
            ConfigError: a requested threshold was not measured.
            BackendError: the store failed.
        """
        if query.encoder is not None:
            self._collection.require(query.encoder)
        options, arguments = self._options, dict[str, Any](search=self._search)
        if options.min_score == "auto":
            options = replace(options, min_score=self._thresholds.min_score(query.kinds))
        if options.hide_duplicates is False:
            return search_images(self._collection, query.vector, options, **arguments)
        near = (
            self._thresholds.duplicates()
            if options.hide_duplicates is True
            else float(options.hide_duplicates)
        )
        arguments |= {"threshold": near, "apart": self._thresholds.apart()}
        return search_distinct(self._collection, query.vector, options, **arguments)
