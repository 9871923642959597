"""Regions of an image: choosing, cropping and writing the boxes that a detector found."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from imgsearch.errors import ConfigError
from imgsearch.types import Pixels

Box: TypeAlias = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the upright image; right and bottom are the first out."""

FIELDS: Final = ("image", "box", "object")
"""What is written beside a region's vector: the image's id, `text` of the box, what is in it."""


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


def box(written: str) -> Box | None:
    """Return the box that `text` wrote; None for "", a whole image.

    Raises:
        ConfigError: it is something else.
    """
    if not written:
        return None
    try:
        left, top, right, bottom = map(int, written.split(","))
    except ValueError as error:
        raise ConfigError(f"a box is left,top,right,bottom, not {written!r}") from error
    return left, top, right, bottom


def _within(box: Box, width: int, height: int) -> Box:
    left, top, right, bottom = box
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)
