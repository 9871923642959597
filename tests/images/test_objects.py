"""Python objects as images and vectors."""

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import ConfigError, ImageError, ImageTooLarge
from imgsearch.images import decode
from imgsearch.images.objects import as_array, as_pixels, as_vector, encoded

COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], dtype=np.uint8)
GRAY = np.array([[0, 128], [255, 7]], dtype=np.uint8)


class Tensor:
    """An object that NumPy can read, like a tensor."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


class OnDevice:
    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def test_no_bytes_are_no_image():
    with pytest.raises(ConfigError, match="0 bytes"):
        encoded(b"")


def test_arrays_of_every_form_become_rgb():
    same = [COLORS, COLORS / 255, (COLORS / 255).astype(np.float32), Tensor(COLORS)]
    same += [np.dstack([COLORS, np.full((2, 2), 255, np.uint8)]), Image.fromarray(COLORS)]
    for value in same:
        pixels = as_pixels(value)
        assert (pixels.dtype, pixels.shape) == (np.uint8, (2, 2, 3))
        np.testing.assert_array_equal(pixels, COLORS)
    for value in (GRAY, GRAY[:, :, None], Image.fromarray(GRAY)):
        np.testing.assert_array_equal(as_pixels(value), np.dstack([GRAY] * 3))


def test_transparent_pixels_are_white():
    clear = np.dstack([COLORS, np.zeros((2, 2), np.uint8)])
    assert (as_pixels(clear) == 255).all()
    assert (as_pixels(Image.fromarray(clear)) == 255).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_pillow_image_has_the_pixels_of_its_file(tmp_path, mode, orientation):
    image = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3) * 4)
    image = image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(file, **({} if mode == "CMYK" else {"exif": exif}))
    with Image.open(file) as opened:
        np.testing.assert_array_equal(as_pixels(opened), decode(file.read_bytes()))


@pytest.mark.parametrize(
    "value",
    [
        COLORS / 100, -(COLORS / 255), np.full((2, 2, 3), np.nan), np.zeros((0, 2, 3)),
        COLORS.astype(np.int64), np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3, 3), np.uint8),
        "cat.jpg", object(), 7,
    ],
)  # fmt: skip
def test_other_values_are_refused_with_the_expected_form(value):
    with pytest.raises(ConfigError, match="pixels|image"):
        as_pixels(value)


def test_large_array_is_refused_before_it_is_copied():
    row = np.zeros((1, 10**6), np.uint8)
    with pytest.raises(ImageTooLarge, match=r"1,000,000 x 1,000,000 pixels"):
        encoded(np.broadcast_to(row, (10**6, 10**6)))  # 2.7 TiB as RGB


def test_damaged_pillow_image_is_a_typed_error(tmp_path):
    file = tmp_path / "a.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:70])
    with Image.open(file) as opened, pytest.raises(ImageError):
        as_pixels(opened)


def test_vectors_and_images_are_told_apart_by_shape():
    assert as_vector(np.ones(4)) is not None
    assert as_vector(np.ones((1, 4))).shape == (4,)
    assert as_vector(GRAY) is None
    assert as_vector(GRAY[:1]) is None  # one row of gray pixels
    assert as_vector(COLORS) is None
    np.testing.assert_array_equal(as_array([1, 0.5]), [1, 0.5])
    assert as_array(["a"]) is None
    assert as_array([]) is None
    assert as_array(Image.fromarray(GRAY)) is None
    for value in (OnDevice(), np.array(["a"])):
        with pytest.raises(ConfigError, match="array"):
            as_array(value)
