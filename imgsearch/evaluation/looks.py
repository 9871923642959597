"""Whether two images look alike by their pixels alone, with no encoder asked."""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.types import Pixels

SMALL: Final = 64  # pixels a side of what is changed to be looked at: enough for what is seen of it
_SIDE: Final = 16  # pixels a side of a look
_ALIKE: Final = 0.95  # correlation of two looks; `alike` says what comes of it

Looks = npt.NDArray[np.float32]
"""Grey looks, (15, 256), each of mean 0 and length 1, or 0 where a picture is of one grey."""


def looks(image: Pixels) -> Looks:
    """Return the looks of an image: its own, then those of its 14 changes."""
    picture = Image.fromarray(image)
    picture.thumbnail((SMALL, SMALL))
    small: Pixels = np.array(picture)
    changed = (change(small) for change in TRANSFORMS.values())
    return np.stack([_look(small), *map(_look, changed)])


def alike(one: Looks, other: Looks) -> bool:
    """Tell whether one image looks like the other, or like a change of it.

    It is meant to miss copies rather than to see one where there is none.
    """
    return bool(max((one @ other[0]).max(), (other @ one[0]).max()) >= _ALIKE)


def _look(image: Pixels) -> Looks:
    grey = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values: Looks = np.asarray(grey, dtype=np.float32).ravel()
    values = values - values.mean()
    values /= np.linalg.norm(values) or 1
    return values
