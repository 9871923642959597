"""The pipeline from images to rows in a collection."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from os import PathLike
from typing import Any

from imgsearch.encoders import DEFAULT, Recipe
from imgsearch.encoders.detector import Detection
from imgsearch.errors import ConfigError
from imgsearch.fields import Declaration, FieldType, declared
from imgsearch.images import MAX_PIXELS
from imgsearch.images.regions import FIELDS as REGION_FIELDS
from imgsearch.pipelines.steps import embed, in_batches
from imgsearch.towhee import Pipeline, op
from imgsearch.types import FailedRow

FIELDS = ("path", "label")
"""The fields stored with each vector."""


def insert_pipeline(
    url: str,
    *,
    collection: str = "images",
    model: str = DEFAULT,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    index: str = "hnsw",
    metric: str = "cosine",
    regions: str | PathLike[str] | Detection | None = None,
    fields: Declaration | None = None,
    max_pixels: int = MAX_PIXELS,
    on_error: str = "keep",
) -> Pipeline:
    """Return the pipeline: source → path, id; each image in the source becomes searchable.

    Ids are content hashes, so a second run changes nothing. A call returns rows of ``path`` and
    ``id``; further columns are ``source``, ``label``, ``data`` (the file's bytes), ``image``,
    ``input`` and ``vector``. `url` is as for `imgsearch.connect`. A missing collection is created
    with `index` and `metric`. Images with more than `max_pixels` pixels are refused.

    `regions` is the folder of an object detector, or a `Detection`. Each image then has one row per
    region and a last row for the whole image, with the further columns ``row``, ``box``, ``object``
    and ``crop`` (see the operator object_regions). Regions that were detected earlier are kept.

    `fields` declares fields such as ``{"year": int}``, which columns of a list fill; each is a
    column of the pipeline, too. They cannot be combined with `regions`.

    Raises:
        ConfigError, FieldInvalid: `fields` is invalid, or given with `regions`.

    Raises, at the first call or `output`:
        EncoderError: the encoder or the detector cannot be built.
        MissingExtra: the detector's library is not installed.
        BackendError: the store cannot be opened, or the collection has another schema.
    """
    types = declared(fields)
    if types and regions is not None:
        raise ConfigError("fields cannot be combined with regions in a pipeline: choose one.")
    paths = Pipeline.input("source").flat_map(
        "source",
        (*FIELDS, *types),
        op("image_load", labels=True, fields=types, on_error=on_error),
    )
    files = paths.map("path", ("id", "data"), op("image_read", on_error=on_error))
    encoder = Recipe.of(model, weights, options)
    target = {"url": url, "collection": collection, "index": index, "metric": metric}
    if regions is not None:
        return _store_regions(files, encoder, target, Detection.of(regions), max_pixels, on_error)
    stored = store(files, encoder, target, types=types, max_pixels=max_pixels, on_error=on_error)
    return stored.returning("path", "id")


def store(
    pipeline: Pipeline,
    encoder: Recipe,
    target: Mapping[str, str],
    *,
    types: Mapping[str, FieldType],
    max_pixels: int = MAX_PIXELS,
    on_error: str,
) -> Pipeline:
    """Append the steps that embed and write images, given path, label, id, data and `types`."""
    carried = ("path", "label", "id", *types)
    inserting = op(
        "vector_insert",
        **target,
        **encoder.config(),
        fields=(*FIELDS, *types),
        types=types,
        carry=1,
        on_error=on_error,
    )
    return in_batches(
        embed(
            pipeline,
            encoder,
            image=("data", "path"),
            carried=carried,
            max_pixels=max_pixels,
            on_error=on_error,
        ),
        ("path",),
        ("id", "vector", *FIELDS, *types),
        "id",
        inserting,
    )


def _store_regions(
    pipeline: Pipeline,
    encoder: Recipe,
    target: Mapping[str, str],
    regions: Detection,
    max_pixels: int,
    on_error: str,
) -> Pipeline:
    """Like `store`, but detect the regions of each image first; embed and write them, too."""
    fields = (*FIELDS, *REGION_FIELDS)
    inserting = op(
        "vector_insert", **target, **encoder.config(), fields=fields, carry=1, on_error=on_error
    )
    # a window of one row, because a window keeps its carried columns if a row fails
    crops = (
        pipeline.map(
            ("data", "path"), "image", op("image_decode", max_pixels=max_pixels, on_error=on_error)
        )
        .window(
            ("path", "label", "id", "image"),
            ("paths", "labels", "region_lists"),
            1,
            1,
            op("object_regions", **asdict(regions), carry=2, on_error=on_error),
        )
        .flat_map(("paths", "labels", "region_lists"), _COLUMNS, _region_rows)
    )
    embedded = embed(crops, encoder, image=("crop",), carried=_COLUMNS[:-1], on_error=on_error)
    inputs = ("row", "vector", *FIELDS, "id", "box", "object")
    return in_batches(embedded, ("path",), inputs, "id", inserting).returning("path", "id")


_COLUMNS = ("path", "label", "id", "row", "box", "object", "crop")


def _region_rows(
    paths: list[str], labels: list[str], region_lists: list[Any]
) -> Iterator[tuple[Any, ...]]:
    """Yield rows with `_COLUMNS`: one per region, or a single row for an image that failed."""
    for path, label, regions in zip(paths, labels, region_lists, strict=True):
        if isinstance(regions, FailedRow):
            yield path, label, *[regions] * (len(_COLUMNS) - 2)
        else:
            whole = regions[-1][0]
            for region in regions:
                yield path, label, whole, *region
