"""The pixels of a TIFF equal its samples, in every layout that is supported."""

import zlib
from typing import Any

import numpy as np
import pytest

from imgsearch.errors import ImageCorrupt
from imgsearch.images import decode
from tests.images.tiffs import Page, tiff

WIDTH, HEIGHT = 150, 8
RAMP = np.tile(np.linspace(0, 1, WIDTH), (HEIGHT, 1))  # 0 at the left, 1 at the right
CHANNELS = (RAMP, 1 - RAMP, RAMP / 2, np.full_like(RAMP, 0.5))
ORDERS, PACKINGS = "<>", (1, 8)  # byte orders; uncompressed, deflate
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def page(*planes: Any, photometric: int, packing: int = 1, **tags: Any) -> Page:
    """Return a page of separate planes; with one plane it equals a page of contiguous samples."""
    strips = [np.ascontiguousarray(plane).tobytes() for plane in planes]
    given = {int(name[1:]): value for name, value in tags.items()}
    known = {
        256: WIDTH,
        257: HEIGHT,
        258: [planes[0].dtype.itemsize * 8] * len(planes),
        259: packing,
        262: photometric,
        277: len(planes),
        278: HEIGHT,
        284: 2 if len(planes) > 1 else 1,
    }
    packed = [zlib.compress(strip) if packing == 8 else strip for strip in strips]
    return Page({**known, **given}, packed)


def assert_decoded(data: bytes, *expected: Any) -> None:
    """Check pixels against channels in [0, 1], one for gray; both roundings to 8 bits pass."""
    channels = expected * 3 if len(expected) == 1 else expected
    np.testing.assert_allclose(decode(data) / 255, np.stack(channels, -1), atol=1 / 120)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("bits", [8, 16])
def test_separate_planes_are_combined(order: str, packing: int, bits: int) -> None:
    planes = [
        np.rint(channel * (2**bits - 1)).astype(f"{order}u{bits // 8}") for channel in CHANNELS
    ]
    rgb = page(*planes[:3], photometric=2, packing=packing)
    assert_decoded(tiff(rgb, order=order), *CHANNELS[:3])
    rgba = page(*planes, photometric=2, packing=packing, t338=2)
    on_white = [channel / 2 + 0.5 for channel in CHANNELS[:3]]
    assert_decoded(tiff(rgba, order=order), *on_white)
    cmyk = page(*planes, photometric=5, packing=packing)
    assert_decoded(tiff(cmyk, order=order), *[(1 - channel) / 2 for channel in CHANNELS[:3]])


@pytest.mark.parametrize("packing", PACKINGS)
def test_luma_and_chroma_become_rgb(packing: int) -> None:
    luma = np.rint(RAMP * 255).astype(np.uint8)
    no_chroma = np.full_like(luma, 128)  # no chroma
    apart = page(luma, no_chroma, no_chroma, photometric=6, packing=packing, t530=[1, 1])
    assert_decoded(tiff(apart), RAMP)
    together = np.stack([luma, no_chroma, no_chroma], -1).tobytes()
    strip = zlib.compress(together) if packing == 8 else together
    assert_decoded(tiff(Page({**apart.tags, 284: 1}, [strip])), RAMP)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(("kind", "low", "high"), [("i2", -(2**15), 2**15 - 1), ("f4", 0.0, 1.0)])
def test_numbers_are_read_in_the_files_byte_order(
    order: str, packing: int, kind: str, low: float, high: float
) -> None:
    values = (low + RAMP * (high - low)).astype(order + kind)
    data = page(values, photometric=1, packing=packing, t339=2 if kind == "i2" else 3)
    assert_decoded(tiff(data, order=order), RAMP)


@pytest.mark.parametrize("packing", PACKINGS)
def test_signed_bytes_and_large_numbers_do_not_wrap(packing: int) -> None:
    signed = np.rint(RAMP * 255 - 128).astype(np.int8)
    assert_decoded(tiff(page(signed, photometric=1, packing=packing, t339=2)), RAMP)
    large = np.rint(RAMP * (2**32 - 1)).astype("<u4")
    assert_decoded(tiff(page(large, photometric=1, packing=packing)), RAMP)
    small = np.rint(RAMP * 65_535).astype("<u4")
    assert_decoded(tiff(page(small, photometric=1, packing=packing)), RAMP)


@pytest.mark.parametrize("packing", PACKINGS)
def test_photometric_0_means_white_is_zero(packing: int) -> None:
    deep = np.rint(RAMP * 65_535).astype("<u2")
    assert_decoded(tiff(page(deep, photometric=0, packing=packing)), 1 - RAMP)
    floats = RAMP.astype("<f4")
    assert_decoded(tiff(page(floats, photometric=0, packing=packing, t339=3)), 1 - RAMP)


def test_zero_is_black_in_a_deep_file_without_photometric() -> None:
    silent = page(RAMP.astype("<f4"), photometric=1, t339=3)
    tags = {tag: value for tag, value in silent.tags.items() if tag != 262}
    assert_decoded(tiff(Page(tags, silent.strips)), RAMP)


@pytest.mark.parametrize("photometric", [0, 1, 3])
def test_bits_may_lie_from_right_to_left(photometric: int) -> None:
    values = np.rint(RAMP * 255).astype(np.uint8)
    color_map = {"t320": np.tile(np.arange(256) * 257, 3)} if photometric == 3 else {}
    plain = page(values, photometric=photometric, t266=2, **color_map)
    data = tiff(Page(plain.tags, [strip.translate(REVERSED) for strip in plain.strips]))
    assert_decoded(data, RAMP if photometric else 1 - RAMP)


@pytest.mark.parametrize("scale", [1, 257])
def test_color_maps_may_be_of_8_bits(scale: int) -> None:
    ramp = np.arange(256)
    color_map = np.concatenate([ramp, 255 - ramp, ramp // 2]) * scale
    values = np.rint(RAMP * 255).astype(np.uint8)
    assert_decoded(tiff(page(values, photometric=3, t320=color_map)), *CHANNELS[:3])


@pytest.mark.parametrize(
    ("planes", "photometric", "extra"), [(2, 1, 2), (3, 8, None), (4, 2, None)]
)
@pytest.mark.parametrize("packing", PACKINGS)
def test_separate_planes_that_pillow_mixes_up_are_rejected(
    planes: int, photometric: int, extra: int | None, packing: int
) -> None:
    values = [np.rint(channel * 255).astype(np.uint8) for channel in CHANNELS[:planes]]
    tags = {} if extra is None else {"t338": extra}
    data = tiff(page(*values, photometric=photometric, packing=packing, **tags))
    with pytest.raises(ImageCorrupt, match="separate planes is not supported"):
        decode(data)


@pytest.mark.parametrize("kind", ["f2", "f8", "u8", "i8"])
def test_other_sample_types_are_rejected(kind: str) -> None:
    values = RAMP.astype(f"<{kind}")
    sample = {"f": 3, "u": 1, "i": 2}[kind[0]]
    with pytest.raises(ImageCorrupt, match="unknown pixel mode"):
        decode(tiff(page(values, photometric=1, t339=sample)))
