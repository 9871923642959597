"""Regions of an image from a detector: selection, crops and stored boxes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from imgsearch.errors import ConfigError
from imgsearch.types import Pixels

Box: TypeAlias = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the upright image; right and bottom are exclusive."""

FIELDS: Final = ("image", "box", "object")
"""The fields of a region's row: the image's id, the box (see `text`) and the object's label."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image with the label of its object and a score in [0, 1]."""

    box: Box
    label: str = ""
    score: float = 1.0

    @classmethod
    def of(cls, edges: Sequence[float], label: object, score: float) -> "Region":
        """Return the region of a detector's box; its edges are rounded.

        The label becomes a text that every store accepts: valid UTF-8 without NUL.
        """
        left, top, right, bottom = (round(edge) for edge in edges)
        text = str(label).replace("\0", "").encode("utf-8", "backslashreplace").decode()
        return cls((left, top, right, bottom), text, score)


def select(
    regions: Iterable[Region],
    width: int,
    height: int,
    *,
    threshold: float = 0.5,
    most: int = 8,
    smallest: int = 32,
    overlap: float = 0.8,
) -> list[Region]:
    """Select regions, clipped to the image of `width` x `height`, highest score first.

    At most `most` regions are selected, with a score of at least `threshold` and edges of at least
    `smallest` pixels. If the intersection over union of two regions exceeds `overlap`, only the
    region with the higher score is selected.
    """
    clipped = (
        Region(_clip(region.box, width, height), region.label, region.score)
        for region in regions
        if region.score >= threshold
    )
    kept: list[Region] = []
    for region in sorted(clipped, key=lambda region: (-region.score, region.box, region.label)):
        left, top, right, bottom = region.box
        if len(kept) == most:
            break
        if min(right - left, bottom - top) < smallest:
            continue
        if all(union_share(region.box, other.box) <= overlap for other in kept):
            kept.append(region)
    return kept


def union_share(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes, in [0, 1]."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / both if both > 0 else 0.0


def crop(image: Pixels, box: Box) -> Pixels:
    """Return a copy of the pixels in the box."""
    left, top, right, bottom = box
    return np.ascontiguousarray(image[top:bottom, left:right])


def rows(id_: str, image: Pixels, regions: Sequence[Region]) -> Iterator[tuple[str, str, str, Any]]:
    """Yield (id, box, object, pixels) for each region, and last for the whole image.

    The whole image has the id `id_` and no box. It is last, because an image without this row is
    written again after an interruption.
    """
    for number, region in enumerate(regions, 1):
        yield f"{id_}#{number}", text(region.box), region.label, crop(image, region.box)
    yield id_, "", "", image


def text(box: Box) -> str:
    """Return a box as text for a field: "left,top,right,bottom"."""
    return ",".join(map(str, box))


def box(written: str) -> Box | None:
    """Parse the text of a box; return None for "", the whole image.

    Raises:
        ConfigError: the text is not four integers.
    """
    if not written:
        return None
    try:
        left, top, right, bottom = map(int, written.split(","))
    except ValueError as error:
        raise ConfigError(f"a box must be left,top,right,bottom, not {written!r}") from error
    return left, top, right, bottom


def _clip(box: Box, width: int, height: int) -> Box:
    left, top, right, bottom = box
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)
