"""Searches collections that contain image regions, and returns each image at most once."""

from collections.abc import Iterable
from typing import Any, Final

from imgsearch.backends.collection import Collection
from imgsearch.filters import Field, Filter
from imgsearch.images.regions import FIELDS
from imgsearch.types import MAX_K, Hit, Vector

WHOLE: Final = Field("box") == ""
"""A filter for rows of whole images."""

_MORE: Final = 4  # factor by which more rows are fetched until there are enough images


def grouped(hits: Iterable[Hit]) -> list[Hit]:
    """Return the nearest hit of each image, nearest first. Its fields contain the region's box.

    A row without the field "image" is a whole image.
    """
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(str(hit.fields.get("image") or hit.id), hit)
    return list(best.values())


def has_regions(collection: Collection) -> bool:
    """Return whether a collection has the fields for image regions."""
    return not collection.foreign and set(FIELDS) <= set(collection.schema.fields)


def image_id(collection: Collection, hit: Hit) -> str:
    """Return the id of a hit's image. For a region this is the image that contains it.

    The field "image" has this meaning only in collections with regions.
    """
    image = hit.fields.get("image") if has_regions(collection) else None
    return str(image or hit.id)


def search_images(
    collection: Collection,
    vector: Vector,
    *,
    k: int = 10,
    offset: int = 0,
    where: Filter | None = None,
    min_score: float | None = None,
    effort: int | None = None,
) -> list[Hit]:
    """Return at most `k` hits from different images, nearest first, for one query.

    The nearest `offset` images are skipped. Options are as for `Collection.search`. At most 16,384
    rows are fetched to find enough images.

    Raises:
        ConfigError, FieldInvalid, DimensionMismatch, VectorInvalid: as for `Collection.search`.
    """
    options: dict[str, Any] = {"where": where, "min_score": min_score, "effort": effort}
    if not has_regions(collection):
        return collection.search(vector[None], k=k, offset=offset, **options)[0]
    if k < 1 or offset < 0 or k + offset > MAX_K:
        return collection.search(vector[None], k=k, offset=offset, **options)[0]  # raises
    wanted = fetched = k + offset
    while True:
        fetched = min(fetched * _MORE, MAX_K)
        hits = collection.search(vector[None], k=fetched, **options)[0]
        images = grouped(hits)
        if len(images) >= wanted or len(hits) < fetched or fetched == MAX_K:
            return images[offset:wanted]
