"""The fourteen transforms change pixels as named."""

import numpy as np
import pytest

from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.types import Pixels

SHAPES = {
    "jpeg_10": (300, 400),
    "thumbnail_96": (72, 96),  # 300 x 96 / 400
    "center_crop_80": (240, 320),
    "center_crop_50": (150, 200),
    "corner_crop_60": (180, 240),
    "flip": (300, 400),
    "rotation_10": (300, 400),
    "rotation_90": (400, 300),
    "gray": (300, 400),
    "brightness_160": (300, 400),
    "blur": (300, 400),
    "text_bars": (300, 400),
    "padding_50": (450, 600),
    "aspect_150": (300, 600),
}


@pytest.fixture
def noise() -> Pixels:
    return np.random.default_rng(4).integers(0, 256, (300, 400, 3), dtype=np.uint8)


def test_fourteen_transforms_are_in_the_order_of_the_protocol():
    assert list(TRANSFORMS) == list(SHAPES)


def test_table_is_immutable():
    with pytest.raises(TypeError):
        TRANSFORMS["none"] = lambda image: image  # type: ignore[index]  # what is tested


@pytest.mark.parametrize("name", SHAPES)
def test_shape_follows_from_the_name(name, noise):
    changed = TRANSFORMS[name](noise)
    assert changed.shape == (*SHAPES[name], 3)
    assert changed.dtype == np.uint8


@pytest.mark.parametrize("name", SHAPES)
def test_transform_is_deterministic_and_keeps_its_argument(name, noise):
    before = noise.copy()
    first = TRANSFORMS[name](noise)
    first_again = TRANSFORMS[name](noise)
    np.testing.assert_array_equal(noise, before)
    np.testing.assert_array_equal(first, first_again)
    assert not np.shares_memory(first, noise)
    assert not np.array_equal(first, noise)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (300, 2)])
def test_tiny_pictures_keep_a_pixel(name, shape):
    changed = TRANSFORMS[name](np.full((*shape, 3), 90, np.uint8))
    assert changed.ndim == 3
    assert min(changed.shape) >= 1
    assert changed.dtype == np.uint8


def test_crops_take_the_middle_and_the_top_left(noise):
    # removes a quarter of the width and height at every edge
    np.testing.assert_array_equal(TRANSFORMS["center_crop_50"](noise), noise[75:225, 100:300])
    np.testing.assert_array_equal(TRANSFORMS["center_crop_80"](noise), noise[30:270, 40:360])
    np.testing.assert_array_equal(TRANSFORMS["corner_crop_60"](noise), noise[:180, :240])


def test_flip_exchanges_left_and_right(noise):
    flipped = TRANSFORMS["flip"](noise)
    np.testing.assert_array_equal(flipped[10, 0], noise[10, 399])
    np.testing.assert_array_equal(TRANSFORMS["flip"](flipped), noise)


def test_quarter_turn_brings_the_top_right_to_the_top_left(noise):
    turned = TRANSFORMS["rotation_90"](noise)
    np.testing.assert_array_equal(turned[0, 0], noise[0, 399])
    np.testing.assert_array_equal(turned[399, 0], noise[0, 0])


def test_ten_degrees_turn_counterclockwise_with_black_corners():
    picture = np.full((301, 401, 3), 60, np.uint8)
    picture[145:156, 295:306] = 255  # a dot 100 right of the center (150, 200)
    turned = TRANSFORMS["rotation_10"](picture)
    # 100 x cos 10 = 98.5 to the right, 100 x sin 10 = 17.4 upward
    row, column = (axis.mean() for axis in np.nonzero(turned[..., 0] > 200))
    assert row == pytest.approx(150 - 17.4, abs=1)
    assert column == pytest.approx(200 + 98.5, abs=1)
    assert turned[0, 0].tolist() == turned[-1, -1].tolist() == [0, 0, 0]


def test_gray_has_the_luma_in_every_channel():
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[:, 0], picture[:, 1], picture[:, 2] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    # 0.299, 0.587 and 0.114 of 255
    assert TRANSFORMS["gray"](picture)[0].tolist() == [[76] * 3, [150] * 3, [29] * 3]


def test_brightness_multiplies_and_clips():
    picture = np.array([[[0, 100, 200]]], np.uint8)
    assert TRANSFORMS["brightness_160"](picture).tolist() == [[[0, 160, 255]]]


def test_blur_spreads_a_dot_by_a_hundredth_of_the_longest_side():
    picture = np.zeros((301, 400, 3), np.uint8)
    picture[130:171, 180:221] = 255
    blurred = TRANSFORMS["blur"](picture)[150, :, 0].astype(float)
    # along a row a square becomes the difference of two normal distributions of sigma 4
    edge = np.interp([0.1587, 0.8413], blurred[160:200] / 255, np.arange(160, 200))
    assert edge[1] - edge[0] == pytest.approx(8, abs=1)  # from -1 to +1 sigma


def test_jpeg_10_changes_much_but_not_the_mean():
    across = np.linspace(0, 255, 400)[None, :, None]
    picture = np.broadcast_to(across, (300, 400, 3)).astype(np.uint8)
    changed = TRANSFORMS["jpeg_10"](picture)
    assert np.abs(changed.astype(int) - picture).max() > 3
    assert changed.mean() == pytest.approx(picture.mean(), abs=3)


def test_three_white_bars_with_text_cross_the_picture():
    barred = TRANSFORMS["text_bars"](np.zeros((300, 400, 3), np.uint8))
    white = (barred[:, -1] == 255).all(axis=1)
    # 300 / 12 = 25 rows around 75, 150 and 225
    expected = np.zeros(300, bool)
    for middle in (75, 150, 225):
        expected[middle - 12 : middle + 13] = True
    np.testing.assert_array_equal(white, expected)
    assert (barred[150] < 128).any()


def test_padding_centers_the_picture_on_black(noise):
    padded = TRANSFORMS["padding_50"](noise)
    np.testing.assert_array_equal(padded[75:375, 100:500], noise)
    assert padded.sum() == noise.sum()


def test_aspect_stretches_only_the_width():
    picture = np.zeros((10, 100, 3), np.uint8)
    picture[:, 50:] = 255
    stretched = TRANSFORMS["aspect_150"](picture)
    assert (stretched[:, :73] == 0).all()
    assert (stretched[:, 77:] == 255).all()
