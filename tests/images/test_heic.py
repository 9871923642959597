"""HEIC is decoded if its extra is installed, and refused by name otherwise."""

import io
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import FormatRefused, ImageCorrupt, ImageError, ImageTooLarge
from imgsearch.images import HEAD, decode, header, picture, sniff
from tests.pictures import picture as scene

pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
SCENE = scene(7, (64, 48))


def heic(pixels: Any, *others: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    file = pillow_heif.from_pillow(Image.fromarray(pixels))
    for other in others:
        file.add_from_pillow(Image.fromarray(other))
    file.save(buffer, quality=90, chroma=444, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def test_heic_is_decoded() -> None:
    data = heic(SCENE)
    assert sniff(data[:HEAD]) == "HEIC"
    assert header(data) == ("HEIC", 64, 48)
    np.testing.assert_allclose(decode(data).astype(int), SCENE, atol=12)
    assert picture(data).mode == "RGB"


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_heic_is_turned_once(orientation: int, turns: int) -> None:
    data = heic(SCENE, exif=exif(orientation))
    expected = np.rot90(SCENE, turns)
    np.testing.assert_allclose(decode(data).astype(int), expected, atol=12)
    assert header(data) == ("HEIC", expected.shape[1], expected.shape[0])


def test_first_image_of_several_is_decoded() -> None:
    data = heic(SCENE, np.zeros_like(SCENE), primary_index=0)
    np.testing.assert_allclose(decode(data).astype(int), SCENE, atol=12)


def test_alpha_in_heic_is_blended_with_white() -> None:
    clear = np.dstack([SCENE, np.zeros(SCENE.shape[:2], np.uint8)])
    assert decode(heic(clear)).min() > 250


def test_pixel_limit_holds_before_heic_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(SCENE)

    def refuse(*_args: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(pillow_heif.HeifImageFile, "load", refuse)
    for read in (decode, header):
        with pytest.raises(ImageTooLarge, match="64 x 48 pixels, at most 3,071 are"):
            read(data, max_pixels=64 * 48 - 1)


def test_damaged_heic_is_an_image_error() -> None:
    data = heic(SCENE)
    for end in (HEAD, 200, len(data) // 2, len(data) - 20):
        with pytest.raises(ImageCorrupt):
            decode(data[:end])
    rng = np.random.default_rng(3)
    for _ in range(60):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            damaged[place] = rng.integers(0, 256)
        try:
            assert decode(bytes(damaged), max_pixels=1_000_000).shape[2] == 3
        except ImageError:
            continue


def test_heic_is_not_registered_with_pillow() -> None:
    decode(heic(SCENE))
    assert "HEIF" not in Image.OPEN


def test_heic_without_its_extra_is_rejected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(SCENE)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for read in (decode, header):
        with pytest.raises(FormatRefused) as caught:
            read(data, path="ü.heic")
        assert str(caught.value) == (
            "ü.heic: format refused: HEIC needs the extra heic. Run pip install '.[heic]' in a "
            "checkout (stage: header)"
        )
