"""Searches collections of image regions or frames, and returns each image or video at most once."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from imgsearch.backends.collection import Collection
from imgsearch.filters import Field, to_filter
from imgsearch.filters.tree import leaves
from imgsearch.images.moments import FIELDS as VIDEO_FIELDS
from imgsearch.images.moments import VIDEO
from imgsearch.images.regions import FIELDS
from imgsearch.query import SearchOptions
from imgsearch.types import MAX_K, Hit, Record, Vector

WHOLE: Final = Field("box") == ""
"""A filter for rows of whole images."""

_MORE: Final = 4  # factor by which more rows are fetched until there are enough images


def grouped(hits: Iterable[Hit], *, by_video: bool = False) -> list[Hit]:
    """Return the nearest hit of each image, nearest first. Its fields contain the region's box.

    A row without the field "image" is a whole image. With `by_video` only the nearest frame of each
    video is returned.
    """
    best: dict[str, Hit] = {}
    for hit in hits:
        video = hit.fields.get(VIDEO) if by_video else None
        best.setdefault(str(video or hit.fields.get("image") or hit.id), hit)
    return list(best.values())


def has_regions(collection: Collection) -> bool:
    """Return whether a collection has the fields for image regions."""
    return not collection.foreign and set(FIELDS) <= set(collection.schema.fields)


def has_videos(collection: Collection) -> bool:
    """Return whether a collection has the fields for frames of videos."""
    return not collection.foreign and set(VIDEO_FIELDS) <= set(collection.schema.fields)


def groups_videos(collection: Collection, options: SearchOptions) -> bool:
    """Return whether a search returns each video once: unless it filters on the field "video"."""
    if not has_videos(collection):
        return False
    names = () if options.where is None else leaves(to_filter(options.where))
    return all(leaf.field != VIDEO for leaf in names)


def image_id(collection: Collection, hit: Hit | Record) -> str:
    """Return the id of an image. For a region this is the image that contains it.

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

    Frames of one video count as one image, unless the search filters on the field "video".

    The nearest `options.offset` images are skipped. At most 16,384 rows are fetched to find enough
    images. `search` replaces the collection's own search, with the arguments collection, vector
    and options by name; it may combine queries.

    Raises:
        ConfigError, FieldInvalid, DimensionMismatch, VectorInvalid: as for `Collection.search`.
    """
    find = search or _search_one
    by_video = groups_videos(collection, options)
    if not (by_video or has_regions(collection)):
        return find(collection, vector, **options.for_store())
    wanted = fetched = options.k + options.offset
    while True:
        fetched = min(fetched * _MORE, MAX_K)
        hits = find(collection, vector, **replace(options, k=fetched, offset=0).for_store())
        images = grouped(hits, by_video=by_video)
        if len(images) >= wanted or len(hits) < fetched or fetched == MAX_K:
            return images[options.offset : wanted]


def _search_one(collection: Collection, vector: Vector, **options: Any) -> list[Hit]:
    return collection.search(vector[None], **options)[0]
