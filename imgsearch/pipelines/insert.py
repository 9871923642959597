"""Images → a collection."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from imgsearch.encoders import Recipe
from imgsearch.pipelines.steps import embed, in_batches
from imgsearch.seam import Pipeline, op

FIELDS = ("path", "label")
"""What is written beside each vector."""


def insert_pipeline(
    url: str,
    *,
    collection: str = "images",
    model: str = "classic",
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    index: str = "hnsw",
    metric: str = "cosine",
    regions: str | PathLike[str] | None = None,
    on_error: str = "keep",
) -> Pipeline:
    """Return the pipeline: source → path, id; each image of the source is searchable then.

    Ids are content hashes, so that running it again changes nothing. Called, it gives rows of
    ``path`` and ``id``; its further columns are ``source``, ``label``, ``data`` (the file's
    bytes), ``image``, ``input`` and ``vector``. `url` as for `imgsearch.connect`; the collection
    is created if there is none, with `index` and `metric`. `regions` is the folder of an object
    detector: each image then has a row for each of its regions, and last one for the whole, and
    further columns ``row``, ``box``, ``object`` and ``crop`` (the operator object_regions tells).

    Raises, when first called or closed:
        EncoderError: the encoder cannot be built.
        BackendError: the store cannot be opened, or the collection has another schema.
    """
    found = Pipeline.input("source").flat_map(
        "source", ("path", "label"), op("image_load", labels=True, on_error=on_error)
    )
    read = found.map("path", ("id", "data"), op("image_read", on_error=on_error))
    encoder = Recipe.of(model, weights, options)
    target = {"url": url, "collection": collection, "index": index, "metric": metric}
    if regions is not None:
        return _store_regions(read, encoder, target, str(regions), on_error)
    return store(read, encoder, target, on_error=on_error).returning("path", "id")


def store(
    pipeline: Pipeline, encoder: Recipe, target: Mapping[str, str], *, on_error: str
) -> Pipeline:
    """Columns path, label, id, data → vectors, written to the `target`."""
    carried = ("path", "label", "id")
    inserting = op(
        "vector_insert", **target, **encoder.config(), fields=FIELDS, carry=1, on_error=on_error
    )
    return in_batches(
        embed(pipeline, encoder, image=("data", "path"), carried=carried, on_error=on_error),
        ("path",),
        ("id", "vector", *FIELDS),
        "id",
        inserting,
    )


def _store_regions(
    pipeline: Pipeline, encoder: Recipe, target: Mapping[str, str], weights: str, on_error: str
) -> Pipeline:
    """Columns path, label, id, data → vectors of the regions and of the whole, written."""
    fields = (*FIELDS, "image", "box", "object")
    inserting = op(
        "vector_insert", **target, **encoder.config(), fields=fields, carry=1, on_error=on_error
    )
    cut = pipeline.map(("data", "path"), "image", op("image_decode", on_error=on_error)).flat_map(
        ("id", "image"),
        ("row", "box", "object", "crop"),
        op("object_regions", weights=weights, on_error=on_error),
    )
    carried = ("path", "label", "id", "row", "box", "object")
    embedded = embed(cut, encoder, image=("crop",), carried=carried, on_error=on_error)
    taken = ("row", "vector", "path", "label", "id", "box", "object")
    return in_batches(embedded, ("path",), taken, "id", inserting).returning("path", "id")
