"""Affine maps between pictures, worked by hand."""

import numpy as np
import pytest
from PIL import Image

from imgsearch.evaluation.affine import (
    IDENTITY,
    compose,
    extent,
    geometry,
    inside,
    invert,
    shrink,
    shrink_in_proportion,
    warp,
)

# from a picture to a crop of it, the right half: x = 0.25 is the crop's center
TO_RIGHT_HALF = np.array([[2.0, 0.0, -0.5], [0.0, 1.0, 0.0]])
QUARTER = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])


def test_map_and_its_inverse_compose_to_the_identity():
    np.testing.assert_allclose(invert(TO_RIGHT_HALF), [[0.5, 0.0, 0.25], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(compose(TO_RIGHT_HALF, invert(TO_RIGHT_HALF)), IDENTITY)


def test_composition_applies_the_first_map_first():
    # (0.25, 0.3) is (0, 0.3) in the right half, and (0.3, 0) after the quarter turn
    map_ = compose(TO_RIGHT_HALF, QUARTER)
    np.testing.assert_allclose(map_ @ [0.25, 0.3, 1.0], [0.3, 0.0])


def test_inside_is_the_common_part_of_both_pictures():
    assert inside(TO_RIGHT_HALF, (4, 1)).tolist() == [[False, False, True, True]]
    assert inside(IDENTITY, (4, 1), margin=0.2).tolist() == [[False, True, True, False]]


def test_extent_and_geometry_are_in_pixels():
    assert extent(invert(TO_RIGHT_HALF), (40, 30)) == pytest.approx((20, 30))
    # 40 x 30 pixels stretched to 60 x 30: 1.5 times as wide
    assert geometry(IDENTITY, (40, 30), (60, 30)) == pytest.approx((1.5, 0, 0))
    assert geometry(QUARTER, (40, 30), (30, 40)) == pytest.approx((1, 0, 0))


def test_warped_resamples_a_picture_under_a_grid():
    halves = Image.fromarray(np.array([[0, 0, 200, 200]] * 4, np.uint8))
    assert np.asarray(warp(halves, invert(TO_RIGHT_HALF), (2, 4))).tolist() == [[200, 200]] * 4


def test_reduced_never_enlarges():
    picture = Image.new("L", (40, 30))
    assert shrink(picture, (20.2, 14.8)).size == (20, 15)
    assert shrink(picture, (400, 300)) is picture


def test_reduced_evenly_keeps_proportions():
    picture = Image.new("L", (40, 30))
    assert shrink_in_proportion(picture, (80, 15)).size == (20, 15)
    assert shrink_in_proportion(picture, (80, 60)) is picture
