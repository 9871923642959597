"""Copy detection with signatures and pixels, including copies that are covered by text bars."""

import numpy as np
from PIL import Image

from imgsearch.evaluation.pixel_similarity import Comparison, compare
from imgsearch.evaluation.signatures import Signatures, may_be_covered
from imgsearch.evaluation.transforms import text_bars


def compare_copies(
    one: Image.Image, other: Image.Image, signatures: tuple[Signatures, Signatures]
) -> Comparison:
    """Compare two RGB pictures and their signatures.

    The verdict is "unclear" if one picture may be the other under text bars, because the covered
    parts may differ. Otherwise it is the verdict of `pixel_similarity.compare`.
    """
    comparison = compare(one, other)
    if comparison.verdict == "different" and may_be_covered(*signatures):
        for pair in ((_add_bars(one, other.size), other), (one, _add_bars(other, one.size))):
            if compare(*pair).verdict != "different":
                return Comparison("unclear", "text may cover a part")
    return comparison


def _add_bars(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the picture resized to `size` and then covered by text bars.

    It is resized first, because bars are drawn in whole pixels.
    """
    return Image.fromarray(text_bars(np.asarray(picture.resize(size, Image.Resampling.LANCZOS))))
