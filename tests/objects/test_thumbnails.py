"""Thumbnails have the EXIF orientation applied and no metadata."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgsearch.errors import ConfigError, FormatRefused, ImageCorrupt, ImageTooLarge
from imgsearch.objects import MEDIA_TYPE, thumbnail
from tests.pictures import picture


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data):
    image = Image.open(io.BytesIO(data))
    assert Image.MIME[image.format] == MEDIA_TYPE
    return image


@pytest.mark.parametrize(
    ("size", "edge", "expected"),
    [
        ((640, 480), 256, (256, 192)),
        ((480, 640), 256, (192, 256)),
        ((100, 50), 256, (100, 50)),  # never enlarged
        ((2000, 1), 16, (16, 1)),
        ((16, 16), 16, (16, 16)),
        ((3000, 1500), 1024, (1024, 512)),
    ],
)
def test_longer_edge_has_the_requested_length(size, edge, expected):
    data = encoded(Image.fromarray(picture(1, size)), "JPEG")
    assert opened(thumbnail(data, edge)).size == expected


def test_thumbnail_resembles_the_image():
    scene = picture(3, (512, 384))
    small = np.asarray(opened(thumbnail(encoded(Image.fromarray(scene), "PNG"), 64)), float)
    # the oracle: means of 8 x 8 pixels; quality 80 costs 5 of 255 on smooth colors
    means = scene.reshape(48, 8, 64, 8, 3).mean(axis=(1, 3))
    assert np.abs(small - means).mean() < 5


def test_thumbnail_is_upright():
    image = Image.new("RGB", (80, 40), "red")
    image.paste("blue", (0, 0, 40, 40))  # the left, which orientation 6 turns to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    small = opened(thumbnail(encoded(image, "JPEG", exif=exif), 64))
    assert small.size == (32, 64)
    top, bottom = small.getpixel((16, 10)), small.getpixel((16, 54))
    assert top[2] > 200 > 60 > top[0]
    assert bottom[0] > 200 > 60 > bottom[2]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_thumbnail_has_no_metadata(kind):
    exif = Image.Exif()
    exif[0x010E] = "SECRET-WORD"
    exif.get_ifd(0x8825)[1] = "N"  # the GPS position
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(picture(4, (200, 150)))
    extra = {"comment": b"SECRET-WORD"} if kind == "JPEG" else {}
    data = encoded(image, kind, exif=exif, icc_profile=profile, **extra)
    assert b"SECRET-WORD" in data
    small = thumbnail(data, 64)
    assert b"SECRET-WORD" not in small
    assert not any(name in small for name in (b"EXIF", b"ICCP", b"XMP "))
    assert dict(opened(small).getexif()) == {}


def test_transparency_is_blended_with_white():
    small = opened(thumbnail(encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 0)), "PNG"), 16))
    assert small.mode == "RGB"
    assert min(small.getpixel((8, 8))) > 250


def test_undecodable_images_are_rejected():
    with pytest.raises(FormatRefused):
        thumbnail("kein Bild, größer".encode(), 64)
    with pytest.raises(ImageCorrupt):
        thumbnail(encoded(Image.fromarray(picture(1)), "PNG")[:-40], 64)
    with pytest.raises(ImageTooLarge):
        thumbnail(encoded(Image.fromarray(picture(1)), "PNG"), 64, max_pixels=100)


@pytest.mark.parametrize("edge", [15, 1025])
def test_edge_has_limits(edge):
    with pytest.raises(ConfigError, match="16 to 1024"):
        thumbnail(encoded(Image.fromarray(picture(1)), "PNG"), edge)
