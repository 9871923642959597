"""Signatures of images: 16 x 16 gray pixels, compared in microseconds without an encoder.

An image has its own signature and one for each of its 14 changes, so changed copies are recognized.
Different pages of text, and other repeating layouts, have similar signatures, too;
`pixel_similarity.compare` distinguishes them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.types import Pixels

SMALL: Final = 64  # long edge in pixels before changes, enough for 16 x 16 after each change
_SIDE: Final = 16  # side of a signature in pixels
_SIMILAR: Final = 0.95  # lowest correlation of similar signatures; few copies have less

Signatures = npt.NDArray[np.float32]
"""The signatures of an image and its 14 changes, float32 (15, 256).

A row has mean 0 and unit L2 norm; for a picture of a single gray level it is all zeros.
"""


def signatures(image: Pixels) -> Signatures:
    """Return the signatures of an image (row 0) and its 14 changes."""
    picture = Image.fromarray(image)
    picture.thumbnail((SMALL, SMALL))
    small: Pixels = np.array(picture)
    changed = (change(small) for change in TRANSFORMS.values())
    return np.stack([_signature(small), *map(_signature, changed)])


def are_similar(one: Signatures, other: Signatures) -> bool:
    """Return whether one image looks like the other, or like a changed version of it."""
    return bool(max((one @ other[0]).max(), (other @ one[0]).max()) >= _SIMILAR)


def may_be_covered(one: Signatures, other: Signatures) -> bool:
    """Return whether one image looks most like the other under text bars."""
    bars = 1 + tuple(TRANSFORMS).index("text_bars")
    nearest = int((one @ other[0]).argmax()), int((other @ one[0]).argmax())
    return bars in nearest


def _signature(image: Pixels) -> npt.NDArray[np.float32]:
    gray = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values: npt.NDArray[np.float32] = np.asarray(gray, dtype=np.float32).ravel()
    values = values - values.mean()
    values /= np.linalg.norm(values) or 1
    return values
