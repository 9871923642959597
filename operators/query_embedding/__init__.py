"""Query → encoded query."""

from collections.abc import Mapping
from typing import Any

from imgsearch.encoders import Recipe
from imgsearch.encoders.query_encoder import QueryEncoder
from imgsearch.images import MAX_PIXELS
from imgsearch.query import EncodedQuery, Example, Query
from imgsearch.towhee import Operator


class QueryEmbedding(Operator):
    """Encode queries with the encoder `model`, which is loaded when a query needs it.

    Without a `model` only vectors can be encoded.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        weights: str | None = None,
        options: Mapping[str, Any] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        recipe = None if model is None else Recipe.of(model, weights, options)
        self._queries = QueryEncoder(recipe, max_pixels=max_pixels)

    def __call__(self, query: Query | Example | EncodedQuery) -> EncodedQuery:
        """Return the query's vector, with its kinds and warnings. An encoded query is unchanged."""
        return query if isinstance(query, EncodedQuery) else self._queries.encode(query)


query_embedding = QueryEmbedding  # the name that Towhee looks for
