"""The largest preview of a raw file is decoded, and never its thumbnail."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import FormatRefused, ImageError, ImageTooLarge
from imgsearch.images import decode, header
from tests.images.tiffs import Page, plain, tiff
from tests.pictures import picture

THUMB = picture(1, (160, 120))
FULL = picture(2, (1_200, 800))
CFA = {256: 6_000, 257: 4_000, 258: 16, 259: 1, 262: 32_803, 277: 1, 278: 4_000}
SENSOR = Page(CFA, [b"\1\2\3\4"])


def jpeg(pixels: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def in_strip(pixels: Any, **tags: Any) -> Page:
    """Return a preview in the layout of DNG: one strip that is a whole JPEG."""
    return Page(
        {
            **plain(pixels).tags,
            259: 7,
            262: 6,
            **{int(name[1:]): value for name, value in tags.items()},
        },
        [jpeg(pixels)],
    )


def beside(pixels: Any, **tags: Any) -> Page:
    """Return a preview in the layout of NEF, ARW and PEF: a JPEG that two tags point to."""
    given = {int(name[1:]): value for name, value in tags.items()}
    return Page({254: 1, 259: 6, **given}, jpeg=jpeg(pixels))


PREVIEW = decode(jpeg(FULL))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_largest_preview_is_decoded(order: str, big: bool) -> None:
    files = [
        [Page(plain(THUMB, t254=1, t50706=1).tags, [THUMB.tobytes()], [SENSOR, in_strip(FULL)])],
        [Page(plain(THUMB, t254=1).tags, [THUMB.tobytes()], [beside(FULL), SENSOR])],
        [beside(FULL), beside(THUMB), SENSOR],
        [SENSOR, beside(THUMB), beside(FULL)],
        [plain(THUMB, t254=1), in_strip(picture(3, (640, 480))), SENSOR, in_strip(FULL)],
    ]
    for pages in files:
        data = tiff(*pages, order=order, big=big)
        np.testing.assert_array_equal(decode(data), PREVIEW)
        assert header(data) == ("TIFF", 1_200, 800)


def test_small_picture_marked_as_full_is_decoded() -> None:
    small = FULL[:100, :200]
    below = Page(plain(THUMB, t254=1, t50706=1).tags, [THUMB.tobytes()], [plain(small, t254=0)])
    np.testing.assert_array_equal(decode(tiff(below)), small)
    half = Page({**CFA, 256: 400, 257: 200}, [b"\1\2"])
    data = tiff(plain(THUMB[:8, :8], t254=1, t50706=1), half, beside(small))
    np.testing.assert_array_equal(decode(data), decode(jpeg(small)))


def test_full_picture_behind_a_thumbnail_is_decoded() -> None:
    below = Page(plain(THUMB, t254=1).tags, [THUMB.tobytes()], [plain(FULL)])
    np.testing.assert_array_equal(decode(tiff(below)), FULL)
    np.testing.assert_array_equal(decode(tiff(plain(THUMB, t255=2), plain(FULL))), FULL)


def test_canons_first_directory_is_its_preview() -> None:
    lossless = Page({259: 6}, [jpeg(FULL).replace(b"\xff\xc0", b"\xff\xc3")])
    preview = in_strip(FULL, t259=6)
    data = tiff(preview, beside(THUMB), lossless, mark=b"CR\2\0" + bytes(4))
    np.testing.assert_array_equal(decode(data), PREVIEW)
    with pytest.raises(FormatRefused, match="raw file with no larger preview than 160 x 120"):
        decode(tiff(lossless, beside(THUMB), mark=b"CR\2\0" + bytes(4)))


@pytest.mark.parametrize(
    "pages",
    [
        [Page(plain(THUMB, t254=1, t50706=1).tags, [THUMB.tobytes()], [SENSOR])],
        [plain(THUMB, t254=1), SENSOR],
        [SENSOR, beside(THUMB)],
    ],
)
def test_raw_file_with_only_a_thumbnail_is_rejected(pages: list[Page]) -> None:
    for read in (decode, header):
        with pytest.raises(FormatRefused) as caught:
            read(tiff(*pages), path="ü.dng")
        assert str(caught.value) == (
            "ü.dng: format refused: a camera's raw file with no larger preview than 160 x 120 "
            "pixels that can be decoded. Convert it to JPEG, or to DNG with a large preview "
            "(stage: header)"
        )


def test_raw_file_without_a_preview_is_rejected() -> None:
    with pytest.raises(FormatRefused, match="raw file with no preview that can be decoded"):
        decode(tiff(SENSOR))


def test_lossless_jpeg_and_masks_are_not_used_as_previews() -> None:
    lossless = Page({259: 7, 262: 1}, [jpeg(FULL).replace(b"\xff\xc0", b"\xff\xc3")])
    mask = plain(picture(3, (1_600, 1_200))[..., 0], t254=4, t262=4)
    preview = in_strip(FULL)
    data = tiff(plain(THUMB, t254=1, t50706=1), lossless, mask, preview)
    np.testing.assert_array_equal(decode(data), PREVIEW)


@pytest.mark.parametrize("make", [in_strip, beside])
def test_preview_has_the_orientation_of_the_first_directory(make: Any) -> None:
    data = tiff(plain(THUMB, t254=1, t274=6), make(FULL), SENSOR)
    np.testing.assert_array_equal(decode(data), np.rot90(PREVIEW, -1))
    assert header(data) == ("TIFF", 800, 1_200)


def test_preview_is_turned_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    own = Page({254: 1, 259: 6}, jpeg=jpeg(FULL, exif=exif))
    turned = np.rot90(PREVIEW, -1)
    np.testing.assert_array_equal(decode(tiff(plain(THUMB, t254=1, t274=6), own, SENSOR)), turned)
    np.testing.assert_array_equal(decode(tiff(plain(THUMB, t254=1), own, SENSOR)), turned)
    whole = tiff(plain(THUMB, t254=1, t274=6), plain(FULL, t274=6))
    np.testing.assert_array_equal(decode(whole), np.rot90(FULL, -1))
    assert header(whole) == ("TIFF", 800, 1_200)


def test_preview_is_scaled_and_limited_like_a_jpeg() -> None:
    data = tiff(plain(THUMB, t254=1), in_strip(FULL), SENSOR)
    assert decode(data, at_least=80).shape == (100, 150, 3)
    with pytest.raises(ImageTooLarge, match="1,200 x 800"):
        decode(data, max_pixels=100_000)


def test_first_page_of_other_tiffs_is_decoded() -> None:
    small, large = picture(1, (80, 60)), picture(2, (640, 480))
    np.testing.assert_array_equal(decode(tiff(plain(small), plain(large))), small)
    np.testing.assert_array_equal(decode(tiff(plain(small, t254=2), plain(large, t254=2))), small)
    pyramid = Page(plain(large).tags, [large.tobytes()], [plain(small, t254=1)])
    np.testing.assert_array_equal(decode(tiff(pyramid)), large)
    np.testing.assert_array_equal(decode(tiff(plain(small, t254=1))), small)


def test_only_the_four_largest_candidates_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0

    def refuse(*_args: Any) -> None:
        nonlocal attempts
        attempts += 1
        raise ValueError("no header")

    monkeypatch.setattr("imgsearch.images.encoded_image.EncodedImage.open", refuse)
    with pytest.raises(FormatRefused, match="no preview"):
        decode(tiff(*(plain(THUMB, t254=1) for _ in range(50))))
    assert attempts < 5


def test_pictures_tags_are_bounded_before_it_is_opened() -> None:
    crowded = Page({**plain(FULL).tags, 33_550: [7] * 300_000}, [FULL.tobytes()])
    with pytest.raises(ImageError, match=r"^ü\.dng: .*(values|numbers)"):
        decode(tiff(plain(THUMB, t254=1), crowded), path="ü.dng")


def test_circular_directories_are_read_once() -> None:
    data = bytearray(tiff(plain(THUMB, t254=1, t330=8)))
    assert decode(bytes(data)).shape == (120, 160, 3)
    ring = tiff(*(plain(THUMB[:1, :1], t254=1) for _ in range(3_000)))
    assert decode(ring).shape == (1, 1, 3)
