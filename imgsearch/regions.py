"""Regions of an image: which of those that a detector found count, and hits grouped by image."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from imgsearch.backends.collection import MAX_K, Collection
from imgsearch.errors import ConfigError
from imgsearch.filters import Field, Filter
from imgsearch.types import Hit, Pixels, Vector

Box: TypeAlias = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the upright image; right and bottom are the first out."""

FIELDS: Final = ("image", "box", "object")
"""What is written beside a region's vector: the image's id, `text` of the box, what is in it."""

WHOLE: Final = Field("box") == ""
"""The rows of whole images."""

_MORE: Final = 4  # rows fetched for an image wanted, at first and then again


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image. `label` says what it shows, `score` how sure that is, in [0, 1]."""

    box: Box
    label: str = ""
    score: float = 1.0


def chosen(
    found: Iterable[Region],
    width: int,
    height: int,
    *,
    threshold: float = 0.5,
    most: int = 8,
    smallest: int = 32,
    overlap: float = 0.8,
) -> list[Region]:
    """Return the regions that count, the surest first, cut to the image of `width` x `height`.

    At most `most`, of a score of `threshold` or more and `smallest` pixels or more on each edge; of
    two that overlap by more than `overlap` of their union the surer one.
    """
    cut = (
        Region(_within(region.box, width, height), region.label, region.score)
        for region in found
        if region.score >= threshold
    )
    kept: list[Region] = []
    for region in sorted(cut, key=lambda each: (-each.score, each.box, each.label)):
        left, top, right, bottom = region.box
        if len(kept) == most:
            break
        if min(right - left, bottom - top) < smallest:
            continue
        if all(union_share(region.box, other.box) <= overlap for other in kept):
            kept.append(region)
    return kept


def union_share(one: Box, other: Box) -> float:
    """Return the area that two boxes share over that of their union, in [0, 1]."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    both = sum((each[2] - each[0]) * (each[3] - each[1]) for each in (one, other)) - shared
    return shared / both if both > 0 else 0.0


def crop(image: Pixels, box: Box) -> Pixels:
    """Return the pixels in the box, a copy."""
    left, top, right, bottom = box
    return np.ascontiguousarray(image[top:bottom, left:right])


def rows(id_: str, image: Pixels, regions: Sequence[Region]) -> Iterator[tuple[str, str, str, Any]]:
    """Yield (id, box, object, pixels) for each region, and last for the whole image.

    The whole image has the content id `id_` alone and no box. As it comes last, an image whose
    rows were not all written is taken up again.
    """
    for place, region in enumerate(regions, 1):
        yield f"{id_}#{place}", text(region.box), region.label, crop(image, region.box)
    yield id_, "", "", image


def text(box: Box) -> str:
    """Return a box as a field holds it: "left,top,right,bottom"."""
    return ",".join(map(str, box))


def box(told: str) -> Box | None:
    """Return the box that `text` wrote; None for "", a whole image.

    Raises:
        ConfigError: it is something else.
    """
    if not told:
        return None
    try:
        left, top, right, bottom = map(int, told.split(","))
    except ValueError as error:
        raise ConfigError(f"a box is left,top,right,bottom, not {told!r}") from error
    return left, top, right, bottom


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
    told: dict[str, Any] = {"where": where, "min_score": min_score, "effort": effort}
    if not has_regions(collection):
        return collection.search(vector[None], k=k, offset=offset, **told)[0]
    if k < 1 or offset < 0 or k + offset > MAX_K:
        return collection.search(vector[None], k=k, offset=offset, **told)[0]  # which says why
    wanted = fetched = k + offset
    while True:
        fetched = min(fetched * _MORE, MAX_K)
        hits = collection.search(vector[None], k=fetched, **told)[0]
        images = grouped(hits)
        if len(images) >= wanted or len(hits) < fetched or fetched == MAX_K:
            return images[offset:wanted]


def _within(box: Box, width: int, height: int) -> Box:
    left, top, right, bottom = box
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)
