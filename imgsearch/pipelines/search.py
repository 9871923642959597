"""Images → the nearest images of a collection."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from imgsearch.encoders import Recipe
from imgsearch.filters import Filter
from imgsearch.pipelines.steps import embed, in_batches
from imgsearch.seam import Pipeline, op


def search_pipeline(
    url: str,
    *,
    collection: str = "images",
    model: str = "classic",
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    k: int = 10,
    where: Filter | None = None,
    min_score: float | None = None,
    on_error: str = "keep",
) -> Pipeline:
    """Return the pipeline: source → path, hits; one row for each query image of the source.

    Called, it gives rows of ``path`` and ``hits`` (a list of at most `k` `Hit`, nearest first);
    its further columns are ``source``, ``image``, ``input`` and ``vector``.

    Raises, when first called or closed:
        EncoderError: the encoder cannot be built, or is not the collection's.
        BackendError: the store or the collection cannot be opened.
    """
    encoder = Recipe.of(model, weights, options)
    found = Pipeline.input("source").flat_map("source", "path", op("image_load", on_error=on_error))
    searching = op(
        "vector_search",
        url=url, collection=collection, **encoder.config(),
        k=k, where=where, min_score=min_score, carry=1, on_error=on_error,
    )  # fmt: skip
    return in_batches(
        embed(found, encoder, image=("path",), carried=("path",), on_error=on_error),
        ("path",),
        ("vector",),
        "hits",
        searching,
    ).returning("path", "hits")


def vector_pipeline(encoder: Recipe) -> Pipeline:
    """Return the pipeline that the library asks: an image (bytes, path or pixels) → vector."""
    return embed(
        Pipeline.input("query"), encoder, image=("query",), carried=(), on_error="raise"
    ).returning("vector")
