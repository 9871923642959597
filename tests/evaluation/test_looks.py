"""Whether images look alike by their pixels."""

import numpy as np
import pytest
from PIL import Image

from imgsearch.evaluation.looks import alike, looks
from imgsearch.evaluation.transforms import TRANSFORMS
from tests.pictures import picture


@pytest.mark.parametrize("change", TRANSFORMS)
def test_a_change_looks_like_its_original_from_either_side(change):
    image = picture(3, (320, 240))
    changed = TRANSFORMS[change](image)
    assert alike(looks(image), looks(changed))
    assert alike(looks(changed), looks(image))


def test_other_images_do_not_look_alike():
    seen = [looks(picture(seed, (320, 240))) for seed in range(40)]
    pairs = [(a, b) for a in range(40) for b in range(a)]
    assert not any(alike(seen[a], seen[b]) for a, b in pairs)


def test_pictures_of_one_colour_look_like_nothing():
    flat = looks(np.full((30, 40, 3), 200, np.uint8))
    assert np.isfinite(flat).all()
    assert not alike(flat, flat)


def test_a_tiny_picture_has_looks():
    assert looks(np.asarray(Image.new("RGB", (1, 1), "red"))).shape == (15, 256)
