"""Images that take too long or too much memory are refused or shrunk within the pixel limit."""

import pytest
from PIL import Image

from imgsearch.errors import ImageTooLarge
from imgsearch.images import decode, header, picture
from tests.images.test_decoder import encoded

HEAVY = encoded(Image.effect_noise((96, 64), 60), "JPEG2000", num_resolutions=4) + bytes(12_000_000)


def test_expensive_jpeg2000_is_rejected_whole_and_decoded_at_half_size() -> None:
    with pytest.raises(ImageTooLarge, match="about 4 s to decode, at most 4 are spent"):
        decode(HEAVY, path="größe.jp2")
    assert picture(HEAVY, at_least=16).size == (48, 32)
    assert header(HEAVY) == ("JPEG2000", 96, 64)
    with pytest.raises(ImageTooLarge, match="4 s"):  # 32 pixels are too few
        picture(HEAVY, at_least=33)


def test_higher_limit_of_pixels_allows_more_seconds() -> None:
    assert decode(HEAVY, max_pixels=100_000_000).shape == (64, 96, 3)


def test_jpeg2000_is_halved_only_as_often_as_it_has_levels() -> None:
    data = encoded(Image.new("L", (96, 64)), "JPEG2000", num_resolutions=1) + bytes(12_000_000)
    with pytest.raises(ImageTooLarge):
        picture(data, at_least=1)


@pytest.mark.parametrize(
    ("kind", "size"), [("AVIF", 40_000_000), ("WEBP", 95_000_000), ("JPEG", 140_000_000)]
)
def test_large_files_are_rejected_in_formats_that_are_slow_per_byte(kind: str, size: int) -> None:
    data = encoded(Image.new("RGB", (16, 16)), kind)
    with pytest.raises(ImageTooLarge, match="s to decode"):
        header(data + bytes(size))
    assert header(data + bytes(size // 4)) == (kind, 16, 16)


def test_slow_netpbm_is_limited_by_its_samples() -> None:
    assert header(b"P5 1500 1500 254\n") == ("PPM", 1_500, 1_500)
    with pytest.raises(ImageTooLarge, match="slowly packed, 1,500 x 1,500 pixels"):
        header(b"P6 1500 1500 254\n")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_picture_holds_no_reference_to_its_file(kind: str) -> None:
    image = Image.new("RGBA", (16, 16), (9, 99, 200, 255))
    options = {"save_all": True, "append_images": [Image.new("RGBA", (16, 16))], "disposal": 1}
    data = encoded(image, kind, **options if kind == "PNG" else {})
    for opened in (picture(data), picture(encoded(image.convert("RGB"), kind))):
        held = {name for name, value in vars(opened).items() if value is not None}
        assert not {"fp", "_fp", "_decoder", "dispose"} & held
