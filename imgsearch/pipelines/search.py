"""Pipelines from images or texts to the nearest images in a collection."""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from imgsearch.backends import FieldNames
from imgsearch.encoders import Recipe
from imgsearch.filters import Filter
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
    where: Filter | None = None,
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
    where: Filter | None = None,
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


def _texts(source: str | Iterable[str]) -> list[str]:
    return [source] if isinstance(source, str) else list(source)
