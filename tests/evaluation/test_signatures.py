"""Signatures are similar only for an image and its changes."""

import numpy as np
import pytest
from PIL import Image

from imgsearch.evaluation.signatures import are_similar, signatures
from imgsearch.evaluation.transforms import TRANSFORMS
from tests.pictures import picture


@pytest.mark.parametrize("change", TRANSFORMS)
def test_change_and_original_are_similar_in_both_directions(change):
    image = picture(3, (320, 240))
    changed = TRANSFORMS[change](image)
    assert are_similar(signatures(image), signatures(changed))
    assert are_similar(signatures(changed), signatures(image))


def test_other_images_are_not_similar():
    known = [signatures(picture(seed, (320, 240))) for seed in range(40)]
    pairs = [(a, b) for a in range(40) for b in range(a)]
    assert not any(are_similar(known[a], known[b]) for a, b in pairs)


def test_pictures_of_one_color_are_not_similar_to_others():
    flat = signatures(np.full((30, 40, 3), 200, np.uint8))
    assert np.isfinite(flat).all()
    assert not are_similar(flat, flat)


def test_tiny_picture_has_signatures():
    assert signatures(np.asarray(Image.new("RGB", (1, 1), "red"))).shape == (15, 256)
