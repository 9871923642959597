"""Image and boxes → crops, with the interface of ``ops.towhee.image_crop``."""

from typing import Any

import numpy as np

from imgsearch.errors import FieldInvalid
from imgsearch.towhee import Operator


class TowheeCrop(Operator):
    """Cut boxes out of an image. A `towhee.types.Image` keeps its color mode."""

    def __init__(self, clamp: bool = False) -> None:  # noqa: FBT001, FBT002 - the hub's signature
        self._clamp = clamp

    def __call__(self, image: Any, boxes: Any) -> list[Any]:
        """Return a crop for each of `boxes`, or one for a single box.

        A box is ``[left, top, right, bottom]`` in pixels, right and bottom exclusive.

        Raises:
            FieldInvalid: a box is not four integers, or is empty or outside the image. With
                `clamp`, edges outside are moved to the image's edge.
        """
        height, width = image.shape[:2]
        corners = np.asarray(boxes)
        if corners.size == 0:
            return []
        if corners.dtype.kind not in "iuf" or corners.shape[-1] != 4 or corners.ndim > 2:
            raise FieldInvalid(f"boxes must be four integers each, not {boxes!r:.80}")
        if not np.isfinite(corners).all():
            raise FieldInvalid(f"boxes must be finite, not {boxes!r:.80}")
        return [self._crop(image, width, height, box) for box in np.atleast_2d(corners)]

    def _crop(self, image: Any, width: int, height: int, box: Any) -> Any:
        left, top, right, bottom = (int(edge) for edge in box)
        if self._clamp:
            left, right = (min(max(edge, 0), width) for edge in (left, right))
            top, bottom = (min(max(edge, 0), height) for edge in (top, bottom))
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise FieldInvalid(
                f"box {[int(edge) for edge in box]} is not inside the image of {width} x {height} "
                "pixels. Pass clamp=True for boxes that stick out."
            )
        return image[top:bottom, left:right].copy()


towhee_crop = TowheeCrop  # the name that Towhee looks for
