"""Pipelines from images or texts to the nearest images in a collection."""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from imgsearch.backends import FieldNames
from imgsearch.encoders import Recipe
from imgsearch.errors import ConfigError
from imgsearch.filters import Where
from imgsearch.images import MAX_PIXELS
from imgsearch.pipelines.steps import embed, embed_texts, in_batches
from imgsearch.towhee import Pipeline, op


def search_pipeline(
    url: str,
    *,
    collection: str = "images",
    model: str | None = None,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    k: int = 10,
    where: Where | None = None,
    min_score: float | None = None,
    names: FieldNames = FieldNames(),  # noqa: B008 - frozen
    max_pixels: int = MAX_PIXELS,
    on_error: str = "keep",
) -> Pipeline:
    """Return the pipeline: source → path, hits; one row per query image in the source.

    A call returns rows of ``path`` and ``hits`` (a list of at most `k` `Hit`, nearest first);
    further columns are ``source``, ``image``, ``input`` and ``vector``. Query images with more than
    `max_pixels` pixels are refused. `model` defaults to "lite"; it is required if the collection
    does not record which encoder made its vectors. `names` are the field names in another program's
    collection.

    Raises, at the first call or `output`:
        EncoderError: the encoder cannot be built or is not the collection's encoder, or `model` is
            missing.
        BackendError: the store or the collection cannot be opened.
    """
    encoder = Recipe.of(model or Recipe().model, weights, options)
    paths = Pipeline.input("source").flat_map("source", "path", op("image_load", on_error=on_error))
    searching = op(
        "vector_search",
        url=url, collection=collection, **{**encoder.config(), "model": model},
        k=k, where=where, min_score=min_score, names=names, carry=1, on_error=on_error,
    )  # fmt: skip
    embedded = embed(
        paths,
        encoder,
        image=("path",),
        carried=("path",),
        max_pixels=max_pixels,
        on_error=on_error,
    )
    return in_batches(embedded, ("path",), ("vector",), "hits", searching).returning("path", "hits")


def text_search_pipeline(
    url: str,
    *,
    collection: str = "images",
    model: str,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    k: int = 10,
    where: Where | None = None,
    min_score: float | None = None,
    names: FieldNames = FieldNames(),  # noqa: B008 - frozen
    on_error: str = "keep",
) -> Pipeline:
    """Return the pipeline: source → text, hits; one row per text in the source.

    A source is a text or a list of texts, never a path. A call returns rows of ``text`` and
    ``hits`` (a list of at most `k` `Hit`, nearest first); further columns are ``source`` and
    ``vector``.

    Raises, at the first call or `output`:
        TextUnsupported: the model takes images only.
        EncoderError: the encoder cannot be built, or is not the collection's encoder.
        BackendError: the store or the collection cannot be opened.
    """
    encoder = Recipe.of(model, weights, options)
    texts = Pipeline.input("source").flat_map("source", "text", _texts)
    searching = op(
        "vector_search",
        url=url, collection=collection, **encoder.config(),
        k=k, where=where, min_score=min_score, names=names, carry=1, on_error=on_error,
    )  # fmt: skip
    embedded = embed_texts(texts, encoder, carried=("text",), on_error=on_error)
    return in_batches(embedded, ("text",), ("vector",), "hits", searching).returning("text", "hits")


def query_steps() -> Pipeline:
    """Return an open pipeline with the column ``query``: what the caller of `search` gave.

    Extend it with steps that change ``query``, or set ``vector`` (float32 (d,)), and pass it to
    `Library.search`.
    """
    steps: Pipeline = Pipeline.input("query")
    return steps


def query_pipeline(
    encoder: Recipe | None,
    *,
    inputs: tuple[str, ...] = ("query",),
    steps: Pipeline | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Pipeline:
    """Return the open pipeline: query → encoded.

    ``encoded`` is an `EncodedQuery`. Without an `encoder` only vectors can be searched for. `steps`
    are a user's; see `query_steps`. `inputs` are all input columns, for later steps.

    Raises, when it is built:
        ConfigError: `steps` need other columns, or set a reserved one.
    """
    config = encoder.config() if encoder else {}
    start: Pipeline = Pipeline.input(*inputs)
    longer = start if steps is None else steps.following(start)
    for name in (*inputs, "encoded"):
        if name != "query" and steps is not None and steps.sets(name):
            raise ConfigError(
                f"the pipeline sets the column {name!r}, which is reserved: rename it."
            )
    query = "vector" if "vector" in longer.names() else "query"
    encoded: Pipeline = longer.map(
        query, "encoded", op("query_embedding", **config, max_pixels=max_pixels)
    )
    return encoded


def hits_pipeline(
    encoder: Recipe | None, *, steps: Pipeline | None = None, max_pixels: int = MAX_PIXELS
) -> Pipeline:
    """Return the pipeline: query, search → encoded, hits; see `query_pipeline`.

    ``search`` is a function from an `EncodedQuery` to hits.
    """
    inputs = ("query", "search")
    queries = query_pipeline(encoder, inputs=inputs, steps=steps, max_pixels=max_pixels)
    hits: Pipeline = queries.map(("encoded", "search"), "hits", op("vector_search"))
    return hits.returning("encoded", "hits")


def _texts(source: str | Iterable[str]) -> list[str]:
    return [source] if isinstance(source, str) else list(source)
