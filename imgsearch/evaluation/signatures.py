"""Signatures of images: 16 x 16 grey pixels, compared in microseconds.

No encoder takes part. An image has a signature of its own and one of each of its 14 changes, so
that a changed copy is recognised. Pages of text and other layouts that repeat have similar
signatures, too: `pixel_similarity.compare` distinguishes them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.types import Pixels

SMALL: Final = 64  # pixels of the long edge that is changed: enough for 16 x 16 of each change
_SIDE: Final = 16  # pixels a side of a signature
_SIMILAR: Final = 0.95  # correlation of two signatures of the same picture; few copies have less

Signatures = npt.NDArray[np.float32]
"""An image's own signature and those of its 14 changes, float32 (15, 256).

Each has mean 0 and length 1, or is 0 where a picture is of one grey.
"""


def signatures(image: Pixels) -> Signatures:
    """Return the signatures of an image: its own, then those of its 14 changes."""
    picture = Image.fromarray(image)
    picture.thumbnail((SMALL, SMALL))
    small: Pixels = np.array(picture)
    changed = (change(small) for change in TRANSFORMS.values())
    return np.stack([_signature(small), *map(_signature, changed)])


def similar(one: Signatures, other: Signatures) -> bool:
    """Return whether one image looks like the other, or like a change of it."""
    return bool(max((one @ other[0]).max(), (other @ one[0]).max()) >= _SIMILAR)


def covered(one: Signatures, other: Signatures) -> bool:
    """Return whether one image looks most like the other under text bars, which cover a part."""
    bars = 1 + tuple(TRANSFORMS).index("text_bars")
    nearest = int((one @ other[0]).argmax()), int((other @ one[0]).argmax())
    return bars in nearest


def _signature(image: Pixels) -> npt.NDArray[np.float32]:
    grey = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values: npt.NDArray[np.float32] = np.asarray(grey, dtype=np.float32).ravel()
    values = values - values.mean()
    values /= np.linalg.norm(values) or 1
    return values
