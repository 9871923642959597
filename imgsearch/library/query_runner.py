"""Runs the pipelines of a library's queries."""

from typing import TYPE_CHECKING

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
        return row["encoded"], Hits(row["hits"])

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
