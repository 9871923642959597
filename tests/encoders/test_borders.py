"""Borders end where a line differs, however many lines there are."""

import numpy as np
import pytest

from imgsearch.encoders.borders import trimmed


@pytest.mark.parametrize("above", [0, 1, 2, 3, 63, 64, 9_000])
def test_the_first_line_that_differs_ends_a_border(above):
    inside = above + 5
    image = np.full((above + inside + 40, 6, 3), 7, np.uint8)
    image[above : above + inside] = (200, 3, 90)
    image[above, 0] = 100  # so that the first line is no border of the rest, where none is above
    np.testing.assert_array_equal(trimmed(image), image[above : above + inside])


@pytest.mark.timeout(60)  # a line at a time it was over a minute
def test_thin_pictures_cost_no_time():
    image = np.zeros((6_000_000, 1, 3), np.uint8)
    assert trimmed(image).shape == image.shape
    assert trimmed(image.swapaxes(0, 1)).shape == (1, 6_000_000, 3)
