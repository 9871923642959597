"""Copies of a picture, also with text bars."""

import numpy as np
import pytest
from PIL import Image

from imgsearch.evaluation.copy_detection import compare_copies
from imgsearch.evaluation.signatures import signatures
from imgsearch.evaluation.transforms import TRANSFORMS
from tests.pictures import page, picture


def compared(one, other):
    pictures = Image.fromarray(one), Image.fromarray(other)
    return compare_copies(*pictures, (signatures(one), signatures(other)))


@pytest.mark.long
@pytest.mark.parametrize("size", [(320, 240), (800, 600)])
def test_picture_under_text_bars_is_unclear(size):
    bars = TRANSFORMS["text_bars"](picture(3, (320, 240)))
    for pair in ((picture(3, size), bars), (bars, picture(3, size))):
        assert compared(*pair).verdict == "unclear"


@pytest.mark.long
def test_other_pictures_under_text_bars_are_different():
    bars = TRANSFORMS["text_bars"](picture(4, (320, 240)))
    assert compared(picture(3, (320, 240)), bars).verdict == "different"
    assert compared(page(1), TRANSFORMS["text_bars"](page(2))).verdict == "different"


def test_changed_copy_is_the_same():
    image = picture(3, (320, 240))
    assert compared(image, np.ascontiguousarray(image[:, ::-1])).verdict == "same"
