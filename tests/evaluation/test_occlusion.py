"""Occlusion maps, with an encoder whose answers are worked out by hand."""

import numpy as np
import pytest

from imgsearch.encoders import Encoder
from imgsearch.errors import ConfigError, DimensionMismatch
from imgsearch.evaluation.occlusion import occlusion_map
from imgsearch.types import Fingerprint

QUERY = np.array([1, 0], np.float32)


class Corner(Encoder):
    """(1, 0) if the upper left pixel is white, otherwise (0, 1)."""

    fingerprint = Fingerprint("corner", dim=2)
    batch_size = 2  # nine patches end in a batch of one

    def prepare(self, image):
        return image[0, 0].copy()

    def features(self, inputs):
        white = [bool((pixel == 255).all()) for pixel in inputs]
        return np.array([[w, not w] for w in white], np.float32)


def test_map_is_the_mean_fall_of_the_four_patches_over_a_cell():
    white = np.full((4, 6, 3), 255, np.uint8)
    falls = occlusion_map(Corner(), QUERY, white, cells=2)
    # The score falls from 1 to 0 under the four patches over the upper left cell. The cell right of
    # it is under two of these and two others, and the lower right cell is under one of them.
    assert falls.dtype == np.float64
    assert falls.tolist() == [
        [1, 1, 1, 0.5, 0.5, 0.5],
        [1, 1, 1, 0.5, 0.5, 0.5],
        [0.5, 0.5, 0.5, 0.25, 0.25, 0.25],
        [0.5, 0.5, 0.5, 0.25, 0.25, 0.25],
    ]
    assert (white == 255).all(), "the image itself stays as it was"


def test_part_that_speaks_against_the_match_is_negative():
    white = np.full((2, 2, 3), 255, np.uint8)
    falls = occlusion_map(Corner(), np.array([0, 1], np.float32), white, cells=1)
    assert falls.tolist() == [[-1, -1], [-1, -1]]  # from 0 to 1 under each patch


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (161, 97)])
def test_map_has_the_size_of_the_image(shape):
    falls = occlusion_map(Corner(), QUERY, np.full((*shape, 3), 255, np.uint8))
    assert falls.shape == shape
    assert falls.max() == 1


def test_invalid_arguments_are_rejected():
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ConfigError, match="cells is 0"):
        occlusion_map(Corner(), QUERY, image, cells=0)
    with pytest.raises(DimensionMismatch, match=r"\(3,\), but the encoder's vectors have 2"):
        occlusion_map(Corner(), np.ones(3, np.float32), image)
