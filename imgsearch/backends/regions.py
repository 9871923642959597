"""Collections with regions of images: a search counts the regions of one image once."""

from collections.abc import Iterable
from typing import Any, Final

from imgsearch.arguments import MAX_K
from imgsearch.backends.collection import Collection
from imgsearch.filters import Field, Filter
from imgsearch.images.regions import FIELDS
from imgsearch.types import Hit, Vector

WHOLE: Final = Field("box") == ""
"""The rows of whole images."""

_MORE: Final = 4  # rows fetched for an image wanted, at first and then again


def grouped(hits: Iterable[Hit]) -> list[Hit]:
    """Return the nearest hit of each image, in order; its fields tell the box.

    Rows without a field "image" are images of their own.
    """
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(str(hit.fields.get("image") or hit.id), hit)
    return list(best.values())


def has_regions(collection: Collection) -> bool:
    """Tell if a collection holds regions of images."""
    return not collection.foreign and set(FIELDS) <= set(collection.schema.fields)


def image_id(collection: Collection, hit: Hit) -> str:
    """Return the id of the image that a hit is, or is a region of.

    A field "image" means that in a collection with regions alone.
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
    """Return at most `k` hits, each of another image, nearest first, after `offset` others.

    As `Collection.search` with a single query, but that regions of one image count once. More rows
    are fetched until there are images enough, up to 16,384.

    Raises:
        ConfigError, FieldInvalid, DimensionMismatch, VectorInvalid: as `Collection.search`.
    """
    options: dict[str, Any] = {"where": where, "min_score": min_score, "effort": effort}
    if not has_regions(collection):
        return collection.search(vector[None], k=k, offset=offset, **options)[0]
    if k < 1 or offset < 0 or k + offset > MAX_K:
        return collection.search(vector[None], k=k, offset=offset, **options)[0]  # which says why
    wanted = fetched = k + offset
    while True:
        fetched = min(fetched * _MORE, MAX_K)
        hits = collection.search(vector[None], k=fetched, **options)[0]
        images = grouped(hits)
        if len(images) >= wanted or len(hits) < fetched or fetched == MAX_K:
            return images[offset:wanted]
