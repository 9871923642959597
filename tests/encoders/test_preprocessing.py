import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch.encoders import preprocessing
from imgsearch.encoders.preprocessing import Preprocessing
from imgsearch.errors import ConfigError, ImageError
from imgsearch.images import decode, picture

SHARED = Path(__file__).parents[3] / "shared"
PHOTOGRAPHS = SHARED / "data" / "imagenet-subset"
WEIGHTS = SHARED / "weights" / "mobilenetv2_100.safetensors"
needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="the oracle is timm's own transform"
)
# (width, height): tiny, odd, exact, thin, large
SIZES = [
    (1, 1),
    (2, 3),
    (17, 33),
    (255, 257),
    (256, 256),
    (224, 300),
    (500, 375),
    (640, 7),
    (9, 401),
]


def image(width, height, *, seed=7):
    """Return noise over a gradient, which shows every way of rounding."""
    noise = np.random.default_rng(seed).integers(0, 90, (height, width, 3))
    ramp = np.linspace(0, 160, width * height).reshape(height, width, 1)
    return (noise + ramp).astype(np.uint8)


def by_timm(pixels, wanted):
    from imgsearch.encoders.torch.imports import frameworks

    transform = frameworks()[1].data.create_transform(
        wanted.input_size,
        is_training=False,
        interpolation=wanted.interpolation,
        crop_pct=wanted.crop_pct,
        crop_mode=wanted.crop_mode,
        mean=wanted.mean,
        normalize=False,
    )
    return transform(Image.fromarray(pixels)).numpy().transpose(1, 2, 0)


@needs_timm
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("input_size", "crop_pct"), [(224, 0.875), (224, 0.95), (65, 1.0), (64, 1.3)]
)
def test_center_crop_agrees_with_timm_to_the_pixel(interpolation, input_size, crop_pct):
    wanted = Preprocessing(input_size, crop_pct, interpolation=interpolation)
    for width, height in SIZES:
        pixels = image(width, height)
        got = wanted.apply(pixels)
        assert got.shape == (input_size, input_size, 3)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, by_timm(pixels, wanted), err_msg=f"{width}x{height}")


@needs_timm
@pytest.mark.parametrize("crop_mode", ["squash", "border"])
@pytest.mark.parametrize("crop_pct", [0.9, 1.0])
def test_other_crops_agree_with_timm_to_the_pixel(crop_mode, crop_pct):
    wanted = Preprocessing(96, crop_pct, crop_mode, mean=(0.48, 0.46, 0.41))
    for width, height in SIZES:
        pixels = image(width, height)
        np.testing.assert_array_equal(
            wanted.apply(pixels), by_timm(pixels, wanted), err_msg=f"{width}x{height}"
        )


@pytest.mark.parametrize("interpolation", preprocessing.INTERPOLATIONS)
@pytest.mark.parametrize("edge", [256, 248, 235, 64])
def test_visible_part_agrees_with_the_whole_resized_image(interpolation, edge):
    wanted = Preprocessing(60, 60 / edge, interpolation=interpolation)
    # of the long edge 384 = 128 x 3 and 341 = 11 x 31 pixels at 256, or a power of two
    for width, height in [(500, 333), (333, 500), (500, 375), (512, 256), (1999, 1333), (96, 64)]:
        pixels = image(width, height)
        long = int(edge * max(width, height) / min(width, height))
        size = (long, edge) if width > height else (edge, long)
        left, top = round((size[0] - 60) / 2), round((size[1] - 60) / 2)
        resample = preprocessing.INTERPOLATIONS[interpolation]
        whole = Image.fromarray(pixels).resize(size, resample)
        expected = np.asarray(whole.crop((left, top, left + 60, top + 60)))
        np.testing.assert_array_equal(wanted.apply(pixels), expected, f"{width} x {height}")


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(30, 700), (700, 31)])
def test_thin_images_resized_in_part_differ_by_a_rounding_step(monkeypatch, interpolation, size):
    wanted, pixels = Preprocessing(64, interpolation=interpolation), image(*size)
    whole = wanted.apply(pixels).astype(int)
    monkeypatch.setattr(preprocessing, "_MAX_RESIZED", 1)
    assert np.abs(wanted.apply(pixels) - whole).max() <= 1


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1)])
@pytest.mark.parametrize("crop_mode", preprocessing.CROP_MODES)
def test_very_thin_images_use_little_memory(size, crop_mode):
    # resized whole, 256 x 15,360,000 pixels would take 12 GB
    assert Preprocessing(crop_mode=crop_mode).apply(image(*size)).shape == (224, 224, 3)


def test_strided_and_read_only_arrays_are_accepted():
    pixels = image(80, 60)
    mirrored = pixels[:, ::-1]
    mirrored.flags.writeable = False
    got = Preprocessing(32).apply(mirrored)
    np.testing.assert_array_equal(got, Preprocessing(32).apply(mirrored.copy()))
    assert got.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_arrays_that_are_not_rgb_are_rejected(array):
    with pytest.raises(ImageError, match="uint8"):
        Preprocessing().apply(array)


@pytest.mark.parametrize("crop_mode", preprocessing.CROP_MODES)
def test_pictures_and_arrays_give_the_same_result(crop_mode):
    for width, height in SIZES:
        pixels, wanted = image(width, height), Preprocessing(64, crop_mode=crop_mode)
        got = wanted.apply(Image.fromarray(pixels))
        np.testing.assert_array_equal(got, wanted.apply(pixels))
        assert got.flags.writeable


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK"])
def test_pictures_of_other_modes_are_rejected(mode):
    with pytest.raises(ImageError, match=f"not {mode}"):
        Preprocessing().apply(Image.new(mode, (5, 5)))
    with pytest.raises(ImageError, match="not RGB"):
        Preprocessing().apply(Image.new("RGB", (0, 5)))


def test_enough_is_four_times_the_resized_edge():
    assert Preprocessing(224, 0.875).enough == 4 * 256
    assert Preprocessing(224, 0.9, "squash").enough == 4 * 248  # 224 / 0.9 = 248.9
    assert Preprocessing(96, 1.0, "border").enough == 4 * 96


@needs_timm
@pytest.mark.skipif(
    not (PHOTOGRAPHS.exists() and WEIGHTS.exists()), reason="needs the photographs of ../shared"
)
def test_enough_pixels_give_the_vectors_of_the_whole_image():
    from imgsearch.encoders.timm.encoder import TimmEncoder

    wanted = Preprocessing(input_size=96)
    options = {"input_size": 96, "pad_type": "same", "mean": 0.5, "std": 0.5}
    encoder = TimmEncoder("mobilenetv2_100", weights=WEIGHTS, options=options)
    cosines, errors = [], []
    for path in sorted(PHOTOGRAPHS.rglob("*.JPEG")):
        with Image.open(path) as header:
            if min(header.size) < 2 * wanted.enough:
                continue
        first = path.read_bytes()
        image_ = picture(first)
        for data in (first, saved(image_, 75, "4:2:0"), saved(image_, 95, "4:4:4")):
            whole, less = decode(data), decode(data, at_least=wanted.enough)
            if less.shape == whole.shape:
                continue
            assert min(less.shape[:2]) >= wanted.enough
            left, right = encoder.encode([whole, less])
            cosines.append(float(left @ right))
            step = wanted.apply(whole).astype(float) - wanted.apply(less)
            errors.append(float(np.sqrt((step**2).mean())))
    assert len(cosines) >= 30
    assert min(cosines) >= 0.999
    assert np.median(cosines) >= 0.9998
    assert max(errors) < 1  # of 255


def saved(image_, quality, subsampling):
    buffer = io.BytesIO()
    image_.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def test_canonical_text_contains_every_field():
    assert Preprocessing(mean=(0.485, 0.456, 0.406), std=(1, 0.5, 1 / 3)).canonical() == (
        "input_size=224 crop_pct=0.875 crop_mode=center interpolation=bicubic "
        "mean=0.485,0.456,0.406 std=1.0,0.5,0.3333333333333333"
    )


def test_one_number_stands_for_three_channels():
    changed = Preprocessing().override({"mean": 0, "std": [0.1, 0.2, 0.3], "crop_pct": 1})
    assert changed.mean == (0.0, 0.0, 0.0)
    assert changed.std == (0.1, 0.2, 0.3)
    assert changed.canonical() == changed.override({"mean": (0.0, 0, 0)}).canonical()


@pytest.mark.parametrize(
    "options",
    [
        {"input_size": 0},
        {"input_size": 224.0},
        {"input_size": True},
        {"input_size": 100_000},
        {"crop_pct": 0},
        {"crop_pct": "0.9"},
        {"crop_pct": float("nan")},
        {"crop_mode": "zentriert"},
        {"interpolation": "random"},
        {"mean": (0.5, 0.5)},
        {"mean": "0.5"},
        {"mean": True},
        {"std": 0},
        {"std": (1, 1, -1)},
    ],
)
def test_values_out_of_range_are_rejected(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Preprocessing().override(options)
