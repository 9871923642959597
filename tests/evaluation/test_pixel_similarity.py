"""Comparison of the pixels of two images."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imgsearch.evaluation.pixel_similarity import compare
from imgsearch.evaluation.transforms import TRANSFORMS
from tests.pictures import page, picture


def verdict(one, other):
    return compare(Image.fromarray(one), Image.fromarray(other)).verdict


def drawn(seed, *shapes, size=(320, 240), ground=None):
    """Return a picture with shapes: (left, top, right, bottom, color)."""
    image = Image.fromarray(picture(seed, size)) if ground is None else Image.new("RGB", size)
    if ground is not None:
        image.paste(ground, (0, 0, *size))
    for *box, color in shapes:
        ImageDraw.Draw(image).ellipse(box, fill=color)
    return np.asarray(image)


def scene(seed):
    """Return a picture with details everywhere."""
    rng = np.random.default_rng(seed)
    shapes = [
        (x, y, x + w, y + w, tuple(int(v) for v in rng.integers(256, size=3)))
        for x, y, w in rng.integers((0, 0, 8), (300, 220, 50), size=(40, 3)).tolist()
    ]
    return drawn(seed, *shapes)


@pytest.mark.parametrize("change", sorted(TRANSFORMS.keys() - {"text_bars"}))
def test_changed_copy_is_the_same_in_both_directions(change):
    changed = TRANSFORMS[change](scene(3))
    assert verdict(scene(3), changed) == "same"
    assert verdict(changed, scene(3)) == "same"


def test_gray_copy_is_the_same_for_any_colors():
    """Luma weighs green ten times as much as blue, so a mean of channels is not its brightness."""
    blue = (scene(3) * (0.5, 0.3, 1)).astype(np.uint8)
    assert verdict(blue, TRANSFORMS["gray"](blue)) == "same"


def test_stretched_copy_of_a_smaller_one_is_the_same():
    """It has more pixels along one edge, but no more detail."""
    noise = np.random.default_rng(4).integers(0, 256, (360, 480, 3), dtype=np.uint8)
    large = [
        np.asarray(Image.fromarray(image).resize((640, 480), Image.Resampling.BICUBIC))
        for image in (noise, scene(3))
    ]
    image = (0.8 * large[0] + 0.2 * large[1]).astype(np.uint8)
    small = Image.fromarray(image).resize((400, 300), Image.Resampling.BICUBIC)
    stretched = TRANSFORMS["aspect_150"](np.asarray(small))
    assert verdict(image, stretched) == verdict(stretched, image) == "same"


@pytest.mark.parametrize(
    ("brighter", "expected"), [(8, "same"), (13, "unclear"), (24, "different")]
)
def test_part_that_differs_a_little_is_unclear(brighter, expected):
    """JPEG causes errors of about 10 gray levels, and 1.4 times as much in few windows."""
    image = scene(3)
    part = image[100:140, 150:190].astype(int)
    changed = image.copy()
    changed[100:140, 150:190] = np.clip(part + brighter, 0, 255)
    assert verdict(image, changed) == verdict(changed, image) == expected


def test_covered_part_is_a_difference():
    assert verdict(scene(3), TRANSFORMS["text_bars"](scene(3))) == "different"


@pytest.mark.long
def test_pages_of_text_differ_by_their_words():
    assert verdict(page(1), page(2)) == "different"
    assert verdict(page(1), TRANSFORMS["jpeg_10"](page(2))) == "different"
    assert verdict(page(1), TRANSFORMS["flip"](page(1))) == "same"


def test_one_changed_word_is_a_difference():
    other = Image.fromarray(page(1))
    ImageDraw.Draw(other).rectangle((60, 100, 80, 112), fill="white")
    ImageDraw.Draw(other).text((61, 100), "417", fill="black")
    assert verdict(page(1), np.asarray(other)) == "different"


def test_page_too_small_to_read_is_unclear():
    small = Image.fromarray(page(1)).resize((60, 84), Image.Resampling.LANCZOS)
    assert verdict(page(1), np.asarray(small)) == "unclear"
    assert verdict(page(2), np.asarray(small)) != "same"


def test_frames_of_a_video_differ_by_a_moving_object():
    one, other = (drawn(5, (x, 100, x + 24, 124, (180, 40, 30))) for x in (60, 68))
    assert verdict(one, other) == "different"


def test_turned_camera_shows_another_part():
    wide = scene(6)
    assert verdict(wide[:, :280], wide[:, 12:292]) == "different"
    assert verdict(wide, wide[:, 12:292]) == "same"  # a crop of the same picture


@pytest.mark.parametrize("ground", ["black", "white"])
def test_object_at_another_place_on_a_plain_ground_differs(ground):
    one, other = (drawn(0, (x, 90, x + 40, 130, "gray"), ground=ground) for x in (60, 90))
    assert verdict(one, other) == "different"


def test_object_of_another_shape_on_a_plain_ground_differs():
    round_, wide = (drawn(0, (80, 80, 140 + more, 140, "red"), ground="white") for more in (0, 40))
    assert verdict(round_, wide) == "different"


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        (("#b42828", "#2828b4"), "different"),
        (("#646464", "#969696"), "unclear"),  # the second is the first, 1.5 times brighter
        (("#191919", "#14143c"), "unclear"),  # the first is the second in gray
    ],
)
def test_products_of_another_color_are_not_the_same(colors, expected):
    one, other = (drawn(0, (60, 40, 240, 200, color), ground="white") for color in colors)
    assert verdict(one, other) == expected


def test_night_scenes_differ_by_their_lights():
    def night(seed):
        rng = np.random.default_rng(seed)
        lights = [(x, y, x + 5, y + 5, "khaki") for x, y in rng.integers(20, 220, (6, 2)).tolist()]
        noise = rng.integers(0, 5, (240, 320, 3), dtype=np.uint8)
        return np.maximum(drawn(0, *lights, ground="black"), noise)

    assert verdict(night(1), night(2)) == "different"
    assert verdict(night(1), np.ascontiguousarray(night(1)[::-1])) == "same"


def test_plain_pictures_are_the_same_if_their_colors_are_equal():
    red, near, blue = (np.full((30, 40, 3), color, np.uint8) for color in (
        (200, 20, 20), (202, 21, 19), (20, 20, 200)))  # fmt: skip
    assert verdict(red, near) == "same"
    assert verdict(red, blue) == "different"
    assert verdict(red, picture(1)) == "different"


def test_tiny_pictures_are_the_same_only_if_they_are_equal():
    one = picture(1, (12, 10))
    assert verdict(one, np.minimum(one, 250) + np.uint8(2)) == "same"
    assert verdict(one, picture(2, (12, 10))) == "different"
    assert verdict(picture(1, (64, 48)), one) != "same"
    assert verdict(one[:1, :1], one[:1, 1:2]) in {"same", "different"}


@pytest.mark.long
def test_unrelated_pictures_differ():
    pictures = [scene(seed) for seed in range(3)]
    assert {verdict(*pair) for pair in itertools.permutations(pictures, 2)} == {"different"}
