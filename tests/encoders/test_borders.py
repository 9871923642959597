"""Borders end at the first line that differs, for any number of lines."""

import numpy as np
import pytest
from PIL import Image

from imgsearch.encoders.borders import trim, trim_picture


@pytest.mark.parametrize("above", [0, 1, 2, 3, 63, 64, 9_000])
def test_first_different_line_ends_a_border(above):
    inside = above + 5
    image = np.full((above + inside + 40, 6, 3), 7, np.uint8)
    image[above : above + inside] = (200, 3, 90)
    image[above, 0] = 100  # so that the first line is not a border of the rest if no line is above
    np.testing.assert_array_equal(trim(image), image[above : above + inside])


@pytest.mark.long
@pytest.mark.timeout(60)  # line by line this took more than a minute
def test_thin_pictures_are_fast():
    image = np.zeros((6_000_000, 1, 3), np.uint8)
    assert trim(image).shape == image.shape
    assert trim(image.swapaxes(0, 1)).shape == (1, 6_000_000, 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 63), (130, 70), (500, 375)])
@pytest.mark.parametrize(
    "borders",
    ["", "top", "left", "bottom", "right", "top left bottom right", "whole"],
)
def test_pictures_are_trimmed_like_their_arrays(size, borders):
    width, height = size
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
    lines = {
        "top": np.s_[:2],
        "left": np.s_[:, :1],
        "bottom": np.s_[-9:],
        "right": np.s_[:, -3:],
        "whole": np.s_[:],
    }
    for border in borders.split():
        pixels[lines[border]] = (40, 200, 9)
    picture = Image.fromarray(pixels)
    np.testing.assert_array_equal(np.asarray(trim_picture(picture)), trim(pixels))


def test_pictures_without_borders_are_not_copied():
    pixels = np.random.default_rng(5).integers(0, 256, (70, 130, 3), np.uint8)
    picture = Image.fromarray(pixels)
    assert trim_picture(picture) is picture
