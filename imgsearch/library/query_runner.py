"""Runs the pipelines of a library's queries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from imgsearch.backends import Collection
from imgsearch.backends.regions import groups_videos, has_regions
from imgsearch.encoders import Recipe
from imgsearch.encoders.query_encoder import QueryEncoder
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.hit_finder import HitFinder, StoreSearch
from imgsearch.library.hits import Hits
from imgsearch.library.pipeline_cache import PipelineCache, query_row
from imgsearch.library.thresholds import Thresholds
from imgsearch.query import EncodedQuery, Example, Query, SearchOptions

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline


class QueryRunner:
    """Encodes queries and searches for them. Thread-safe; it issues no warnings.

    `steps` are the library's own, which run if a call brings none.
    """

    def __init__(
        self, handle: CollectionHandle, pipelines: PipelineCache, steps: "Pipeline | None"
    ) -> None:
        self._handle, self._pipelines, self._steps = handle, pipelines, steps

    def encode(
        self, query: Query | Example | EncodedQuery, pipeline: "Pipeline | None" = None
    ) -> EncodedQuery:
        """Return the encoded query.

        Raises:
            ConfigError, SourceError, ImageError: the query is invalid.
            EncoderMismatch: the collection holds another encoder's vectors, or no encoder is known.
        """
        steps = pipeline or self._steps
        collection, recipe = self._handle.pair()
        encoding = self._pipelines.encode(recipe, steps)
        encoded: EncodedQuery = query_row(encoding, steps, self._checked(query, steps))["encoded"]
        if encoded.encoder is not None and collection is not None:
            collection.require(encoded.encoder)
        return encoded

    def search(
        self,
        query: Query | Example | EncodedQuery,
        options: SearchOptions,
        pipeline: "Pipeline | None" = None,
        store_search: StoreSearch | None = None,
    ) -> tuple[EncodedQuery, Hits]:
        """Return the encoded query and its hits. `store_search` is as for `HitFinder`.

        Raises: as for `encode` and `HitFinder`.
            CollectionNotFound: nothing was added yet.
        """
        steps = pipeline or self._steps
        collection, recipe = self._handle.required_pair()
        thresholds = Thresholds(self._handle.backend, collection)
        finder = HitFinder(collection, thresholds, options, store_search)
        searching = self._pipelines.search(recipe, steps)
        row = query_row(searching, steps, self._checked(query, steps), finder)
        return row["encoded"], Hits(options.ordered(row["hits"]))

    def encode_many(self, queries: Sequence[Query | Example]) -> list[EncodedQuery]:
        """Return encoded queries; without own steps they are encoded in batches.

        Raises: as for `encode`, for the first query that fails.
        """
        return self._encode_all(queries, *self._handle.pair())

    def _encode_all(
        self,
        queries: Sequence[Query | Example],
        collection: Collection | None,
        recipe: Recipe | None,
    ) -> list[EncodedQuery]:
        if self._steps is not None:
            return [self.encode(query) for query in queries]
        wholes = [query if isinstance(query, Query) else Query(query) for query in queries]
        for whole in wholes:
            self._checked(whole, None)
        encoder = QueryEncoder(recipe, max_pixels=self._pipelines.max_pixels)
        encoded = encoder.encode_many(wholes)
        for query in encoded:
            if query.encoder is not None and collection is not None:
                collection.require(query.encoder)
        return encoded

    def search_many(
        self, queries: Sequence[Query | Example], options: SearchOptions
    ) -> list[tuple[EncodedQuery, Hits]]:
        """Return the encoded queries with their hits; the store is asked as seldom as possible.

        Raises: as for `search`, for the first query that fails.
        """
        collection, recipe = self._handle.required_pair()
        encoded = self._encode_all(queries, collection, recipe)
        thresholds = Thresholds(self._handle.backend, collection)
        parts = has_regions(collection) or groups_videos(collection, options)
        if parts or options.hide_duplicates is not False:
            finder = HitFinder(collection, thresholds, options)
            return [(query, Hits(options.ordered(finder(query)))) for query in encoded]
        rows: dict[int, Hits] = {}
        for kinds in {(query.kinds, query.vector.shape) for query in encoded}:
            same = [
                row
                for row, query in enumerate(encoded)
                if (query.kinds, query.vector.shape) == kinds
            ]
            alike = options
            if options.min_score == "auto":
                alike = replace(options, min_score=thresholds.min_score(kinds[0]))
            vectors = np.stack([encoded[row].vector for row in same])
            hits = collection.search(vectors, **alike.for_store())
            rows |= {row: Hits(options.ordered(h)) for row, h in zip(same, hits, strict=True)}
        return [(query, rows[row]) for row, query in enumerate(encoded)]

    def _checked(
        self, query: Query | Example | EncodedQuery, steps: "Pipeline | None"
    ) -> Query | Example | EncodedQuery:
        """Return a query that the encoder can take, unless a user's steps make one of it.

        Raises:
            ConfigError, SourceError: as for `Query`.
            EncoderMismatch: the query is not a vector, and no encoder is known.
        """
        if steps is not None or isinstance(query, EncodedQuery):
            return query
        query = query if isinstance(query, Query) else Query(query)
        if any(term.kind != "vector" for term in query.terms):
            self._handle.required_recipe()
        return query
