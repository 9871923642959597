"""Searches collections that contain image regions, and returns each image at most once."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from imgsearch.backends.collection import Collection
from imgsearch.filters import Field
from imgsearch.images.regions import FIELDS
from imgsearch.query import SearchOptions
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
    options: SearchOptions,
    search: Callable[..., list[Hit]] | None = None,
) -> list[Hit]:
    """Return at most `options.k` hits from different images, nearest first, for one query.

    The nearest `options.offset` images are skipped. At most 16,384 rows are fetched to find enough
    images. `search` replaces the collection's own search, with the arguments collection, vector
    and options by name; it may combine queries.

    Raises:
        ConfigError, FieldInvalid, DimensionMismatch, VectorInvalid: as for `Collection.search`.
    """
    find = search or _search_one
    if not has_regions(collection):
        return find(collection, vector, **options.for_store())
    wanted = fetched = options.k + options.offset
    while True:
        fetched = min(fetched * _MORE, MAX_K)
        hits = find(collection, vector, **replace(options, k=fetched, offset=0).for_store())
        images = grouped(hits)
        if len(images) >= wanted or len(hits) < fetched or fetched == MAX_K:
            return images[options.offset : wanted]


def _search_one(collection: Collection, vector: Vector, **options: Any) -> list[Hit]:
    return collection.search(vector[None], **options)[0]
