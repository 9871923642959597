"""Vector → hits, nearest first."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from imgsearch.backends import FieldNames, VectorBackend, connect, versions
from imgsearch.backends.regions import has_regions, search_images
from imgsearch.encoders import Recipe, load
from imgsearch.errors import EncoderWarning
from imgsearch.filters import Where
from imgsearch.query import EncodedQuery, SearchOptions
from imgsearch.towhee import BatchOperator
from imgsearch.types import Hit

Search: TypeAlias = Callable[[EncodedQuery], list[Hit]]


class VectorSearch(BatchOperator):
    """Search a collection with vectors from the encoder `model`, by default "lite".

    `model` is required if the collection does not record which encoder made its vectors. `names`
    are the field names in another program's collection. Without a `url` it takes encoded queries,
    each with the function that searches for it.
    """

    def __init__(
        self,
        url: str | None = None,
        collection: str = "images",
        *,
        model: str | None = None,
        weights: str | None = None,
        options: Mapping[str, Any] | None = None,
        k: int = 10,
        where: Where | None = None,
        min_score: float | None = None,
        names: FieldNames = FieldNames(),  # noqa: B008 - frozen
    ) -> None:
        self._options = SearchOptions(k=k, where=where, min_score=min_score)
        self._backend: VectorBackend | None = None
        if url is None:
            return
        encoder = load(model or Recipe().model, weights=weights, options=options).fingerprint
        self._backend = connect(url)
        try:
            self._collection = versions.open_named(self._backend, collection, names)
            self._collection.require(encoder, named=model is not None)
            if warning := self._collection.encoder_warning(encoder.model):
                warnings.warn(warning, EncoderWarning, stacklevel=2)
        except BaseException:
            self._backend.close()
            raise

    def __call__(self, vectors: list[Any], searches: Sequence[Search] = ()) -> list[list[Hit]]:
        """Return at most `k` hits for each of `vectors`, nearest first."""
        if searches:
            return [search(query) for query, search in zip(vectors, searches, strict=True)]
        if has_regions(self._collection):
            return [search_images(self._collection, vector, self._options) for vector in vectors]
        return self._collection.search(np.stack(vectors), **self._options.for_store())

    def close(self) -> None:
        """Close the store."""
        if self._backend is not None:
            self._backend.close()


vector_search = VectorSearch  # the name that Towhee looks for
