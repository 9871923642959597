"""Whether two images are copies of one picture, also where text bars cover a part of one.

No encoder takes part: signatures are compared first, and then pixels.
"""

import numpy as np
from PIL import Image

from imgsearch.evaluation.pixel_similarity import Comparison, compare
from imgsearch.evaluation.signatures import Signatures, covered
from imgsearch.evaluation.transforms import text_bars


def compare_copies(
    one: Image.Image, other: Image.Image, signatures: tuple[Signatures, Signatures]
) -> Comparison:
    """Compare two RGB pictures as `pixel_similarity.compare`, given the signatures of both.

    A picture under text bars is unclear: the rest is the same, and the bars hide whether all is.
    """
    found = compare(one, other)
    if found.verdict == "different" and covered(*signatures):
        for pair in ((_barred(one, other.size), other), (one, _barred(other, one.size))):
            if compare(*pair).verdict != "different":
                return Comparison("unclear", "text may cover a part")
    return found


def _barred(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a picture of this size under text bars, which are drawn in whole pixels."""
    return Image.fromarray(text_bars(np.asarray(picture.resize(size, Image.Resampling.LANCZOS))))
