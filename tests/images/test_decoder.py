"""Pixels of every format and layout, and the errors of all other bytes."""

import contextlib
import io
import json
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgsearch.errors import FormatRefused, ImageCorrupt, ImageError, ImageTooLarge
from imgsearch.images import FORMATS, HEAD, decode, header, picture, small, sniff, thumbnail

SHARED = Path(__file__).parents[3] / "shared" / "data"
# hashed positions have no symmetries, so every rotation changes the image
SCENE = (np.arange(5 * 7 * 3).reshape(5, 7, 3) * 37 % 251).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *, extra: bytes = b"", rows: bytes = b"", depth: int = 8) -> bytes:
    """Return a gray PNG, written by hand so that its header may lie."""
    first = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + first + extra + body


SAMPLES = {
    "JPEG": encoded(Image.fromarray(SCENE), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08" + bytes(6)),
    "JPEG progressive": encoded(Image.fromarray(SCENE), "JPEG", progressive=True),
    "JPEG CMYK": encoded(Image.fromarray(SCENE).convert("CMYK"), "JPEG"),
    "MPO": encoded(
        Image.fromarray(SCENE), "MPO", save_all=True, append_images=[Image.fromarray(SCENE)]
    ),
    "PNG": encoded(Image.fromarray(SCENE), "PNG", dpi=(72, 72)),
    "PNG palette": encoded(Image.fromarray(SCENE).convert("P"), "PNG", transparency=b"\0\x80"),
    "APNG": encoded(
        Image.fromarray(SCENE), "PNG", save_all=True, append_images=[Image.new("RGB", (7, 5))]
    ),
    "WEBP": encoded(Image.fromarray(SCENE), "WEBP", lossless=True),
    "GIF": encoded(
        Image.fromarray(SCENE), "GIF", save_all=True, append_images=[Image.new("RGB", (7, 5))]
    ),
    "BMP": encoded(Image.fromarray(SCENE), "BMP"),
    "TIFF": encoded(Image.fromarray(SCENE), "TIFF"),
    "TIFF LZW": encoded(Image.fromarray(SCENE), "TIFF", compression="tiff_lzw"),
    "TIFF F": encoded(Image.fromarray(SCENE[..., 0].astype(np.float32)), "TIFF"),
    "JPEG2000": encoded(Image.fromarray(SCENE), "JPEG2000"),
    "PPM": encoded(Image.fromarray(SCENE), "PPM"),
    "PFM": encoded(Image.fromarray(SCENE[..., 0].astype(np.float32)), "PPM"),
    "AVIF": encoded(Image.fromarray(SCENE), "AVIF", quality=100, subsampling="4:4:4"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_decodes(name: str) -> None:
    pixels = decode(SAMPLES[name])
    assert sniff(SAMPLES[name][:HEAD]) in FORMATS
    assert (pixels.shape, pixels.dtype) == ((5, 7, 3), np.uint8)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable  # torch.from_numpy warns about read-only arrays


@pytest.mark.parametrize("name", ["PNG", "WEBP", "BMP", "TIFF", "TIFF LZW", "JPEG2000", "PPM"])
def test_lossless_formats_keep_every_pixel(name: str) -> None:
    np.testing.assert_array_equal(decode(SAMPLES[name]), SCENE)


def test_every_format_has_a_sample() -> None:
    assert {sniff(data[:HEAD]) for data in SAMPLES.values()} == set(FORMATS)


def test_jpeg_pixels_equal_pillows() -> None:
    plain = Image.open(io.BytesIO(SAMPLES["JPEG"])).convert("RGB")
    np.testing.assert_array_equal(decode(SAMPLES["JPEG"]), np.asarray(plain))


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_decode_accepts_bytes_bytearray_and_memoryview(convert: type) -> None:
    np.testing.assert_array_equal(decode(convert(SAMPLES["PNG"])), SCENE)


# EXIF 2.32, 4.6.4: where the stored row 0 and column 0 lie in the upright image
UPRIGHT = {
    1: SCENE,  # top, left
    2: SCENE[:, ::-1],  # top, right
    3: SCENE[::-1, ::-1],  # bottom, right
    4: SCENE[::-1],  # bottom, left
    5: SCENE.transpose(1, 0, 2),  # left, top
    6: SCENE[::-1].transpose(1, 0, 2),  # right, top
    7: SCENE[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
    8: SCENE.transpose(1, 0, 2)[::-1],  # left, bottom
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(SCENE), kind, exif=exif, **options)
    np.testing.assert_array_equal(decode(data), UPRIGHT[orientation])


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_header_returns_the_upright_size(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(SCENE), kind, exif=exif)
    assert header(data) == (kind, *((7, 5) if orientation < 5 else (5, 7)))
    assert decode(data).shape == ((5, 7, 3) if orientation < 5 else (7, 5, 3))


def test_exif_orientation_of_jpeg_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode(encoded(Image.fromarray(SCENE), "JPEG"))[::-1].transpose(1, 0, 2)
    np.testing.assert_array_equal(
        decode(encoded(Image.fromarray(SCENE), "JPEG", exif=exif)), upright
    )


def test_broken_exif_leaves_the_image_unturned() -> None:
    data = encoded(Image.fromarray(SCENE), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\0\1")
    np.testing.assert_array_equal(decode(data), SCENE)


def test_alpha_is_blended_with_white() -> None:
    # 200 * 128 / 255 + 255 * 127 / 255 = 100.39 + 127 = 227.39; likewise 100 → 177.2, 0 → 127
    for kind in ("PNG", "WEBP"):
        rgba = np.array([[[200, 100, 0, 128], [1, 2, 3, 0], [1, 2, 3, 255]]], np.uint8)
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        pixels = decode(encoded(Image.fromarray(rgba), kind, **options))
        assert pixels.tolist() == [[[227, 177, 127], [255, 255, 255], [1, 2, 3]]]


def test_gray_alpha_is_blended_with_white() -> None:
    la = Image.merge("LA", [Image.new("L", (1, 1), 100), Image.new("L", (1, 1), 128)])
    assert decode(encoded(la, "PNG")).tolist() == [[[177, 177, 177]]]


def test_transparent_colors_are_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert decode(encoded(palette, "PNG")).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert decode(encoded(palette, "PNG", transparency=1)).tolist()[0][1] == [255, 255, 255]
    assert decode(encoded(palette, "GIF", transparency=0)).tolist()[0][0] == [255, 255, 255]
    half = decode(encoded(palette, "PNG", transparency=b"\x80\xff")).tolist()
    assert half == [[[132, 137, 142], [40, 50, 60]]]  # 10 * 128 / 255 + 127 = 132.02, and so on
    for mode, color in (("L", 7), ("RGB", (7, 8, 9))):
        data = encoded(Image.new(mode, (1, 1), color), "PNG", transparency=color)
        assert decode(data).tolist() == [[[255, 255, 255]]]


def test_cmyk_of_adobe_is_not_a_negative() -> None:
    # Pillow writes what Adobe does, inverted. White paper; all ink; (255-51)(255-102)/255 = 122.4
    cmyk = np.array([[[0, 0, 0, 0]], [[255, 255, 255, 255]], [[51, 0, 255, 102]]], np.uint8)
    blocks = cmyk.repeat(8, axis=0).repeat(8, axis=1)
    pixels = decode(encoded(Image.fromarray(blocks, "CMYK"), "JPEG", quality=100))
    samples = pixels[4::8, 4].astype(int)
    np.testing.assert_allclose(samples, [[255, 255, 255], [0, 0, 0], [122, 153, 0]], atol=2)
    tiff = decode(encoded(Image.fromarray(blocks, "CMYK"), "TIFF"))
    np.testing.assert_allclose(
        tiff[4::8, 4].astype(int), [[255, 255, 255], [0, 0, 0], [122, 153, 0]], atol=1
    )


def test_one_bit_is_black_and_white() -> None:
    image = Image.fromarray(np.array([[False, True]]))
    for kind in ("PNG", "TIFF", "BMP", "PPM"):
        assert decode(encoded(image, kind))[..., 0].tolist() == [[0, 255]]


def gray_pixels(values: Any, kind: str = "TIFF") -> list[Any]:
    pixels = decode(encoded(Image.fromarray(values), kind))
    assert (pixels == pixels[..., :1]).all()
    return list(pixels[0, :, 0].tolist())


def test_16_bit_gray_keeps_its_upper_8() -> None:
    values = np.array([[0, 255, 256, 0x8000, 0xFFFF]], np.uint16)
    for kind in ("PNG", "TIFF", "JPEG2000"):
        assert gray_pixels(values, kind) == [0, 0, 1, 128, 255]
    assert gray_pixels(values.astype(">u2")) == [0, 0, 1, 128, 255]


def test_16_bit_transparent_gray_is_white() -> None:
    rows = b"\0" + struct.pack(">HH", 0x1234, 0x1235)
    data = png(2, 1, rows=rows, depth=16, extra=chunk(b"tRNS", b"\x12\x34"))
    assert decode(data)[0, :, 0].tolist() == [255, 0x12]


def test_12_bit_tiff_is_not_black() -> None:
    # three bytes hold two pixels: 0xFFF, 0x80A
    entries = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1)]
    entries.append((279, 3))
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    data = b"II*\0" + struct.pack("<I", 12) + b"\xff\xf8\x0a\0"
    data += struct.pack("<H", len(entries)) + fields + bytes(4)
    assert decode(data)[0, :, 0].tolist() == [255, 128]


def test_32_bit_gray_is_scaled() -> None:
    assert gray_pixels(np.array([[0, 0x8000, 0xFFFF]], np.int32)) == [0, 128, 255]
    # from -2**31 to 2**31 - 1: the middle is 255 * 2**31 / (2**32 - 1) = 127.5 and a bit
    assert gray_pixels(np.array([[-(2**31), 0, 2**31 - 1]], np.int32)) == [0, 128, 255]
    assert gray_pixels(np.array([[70000, 70000]], np.int32)) == [0, 0]


def test_float_gray_is_scaled() -> None:
    assert gray_pixels(np.array([[0, 0.5, 1]], np.float32)) == [0, 128, 255]  # 127.5 to the even
    assert gray_pixels(np.array([[0, 7, 200]], np.float32)) == [0, 7, 200]
    assert gray_pixels(np.array([[-1, 0, 4]], np.float32)) == [0, 51, 255]
    assert gray_pixels(np.array([[np.nan, np.inf, -np.inf, 1]], np.float32)) == [0, 0, 0, 255]
    assert gray_pixels(np.array([[-3e38, 3e38]], np.float32)) == [0, 255]
    signaling_nan = np.array([[0x7FA00000, 0x3F800000]], np.uint32).view(np.float32)
    assert gray_pixels(signaling_nan) == [0, 255]


def test_column_of_1_500_000_floats_is_scaled() -> None:
    tall = np.zeros((1_500_000, 1), np.float32)
    tall[-1] = 1
    pixels = decode(encoded(Image.fromarray(tall), "TIFF"))
    assert pixels[[0, -1], 0].tolist() == [[0] * 3, [255] * 3]


def test_lab_becomes_rgb() -> None:
    # CIE L* 100, a* = b* = 0 is white; L* 0 is black. TIFF keeps a* and b* as signed bytes.
    lab = np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8)
    image = Image.frombytes("LAB", (2, 1), lab.tobytes())
    pixels = decode(encoded(image, "TIFF")).astype(int)
    np.testing.assert_allclose(pixels, [[[255] * 3, [0] * 3]], atol=2)


def test_first_frame_only() -> None:
    for name in ("APNG", "MPO"):
        assert decode(SAMPLES[name]).std() > 0  # the second frame of the APNG is black
    np.testing.assert_array_equal(decode(SAMPLES["APNG"]), SCENE)


def test_many_frames_are_not_decoded() -> None:
    gif = encoded(Image.new("P", (8, 8)), "GIF")
    start = gif.index(b",", 13)
    frames = gif[:start] + gif[start:-1] * 100_000 + b";"
    assert decode(frames).shape == (8, 8, 3)


def test_too_many_pixels_are_rejected_by_the_header() -> None:
    with pytest.raises(ImageTooLarge) as caught:
        decode(png(10_000, 5_001), path="大きい.png")
    assert str(caught.value) == (
        "大きい.png: too large: 10,000 x 5,001 pixels, at most 50,000,000 are decoded"
        " (stage: header)"
    )
    assert (caught.value.path, caught.value.stage) == ("大きい.png", "header")
    with pytest.raises(ImageTooLarge, match="7 x 5 pixels, at most 34 are"):
        decode(SAMPLES["PNG"], max_pixels=34)
    assert decode(SAMPLES["PNG"], max_pixels=35).shape == (5, 7, 3)


@pytest.mark.parametrize("side", [9_500, 13_500, 60_000])
def test_pixel_limit_also_holds_beyond_pillows_own_limits(side: int) -> None:
    # 90.25 MP: Pillow warns; 182 MP: it raises its own error
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLarge):
            decode(png(side, side))
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        with pytest.raises(ImageTooLarge):
            decode(png(side, side))
    assert leaked == []


@pytest.mark.parametrize("side", [13_500, 60_000])
def test_header_also_rejects_sizes_beyond_pillows_own_limit(side: int) -> None:
    with pytest.raises(ImageTooLarge, match=r"größe\.png: too large"):
        header(png(side, side), path="größe.png")


def test_slow_decoders_get_fewer_pixels() -> None:
    with pytest.raises(ImageTooLarge, match="slowly packed, 2,000 x 2,000 pixels, at most 2,500"):
        decode(b"P5 2000 2000 254\n")
    assert decode(b"P5 1 1 254\n\x7f").tolist() == [[[128, 128, 128]]]  # 127 / 254 * 255 = 127.5


def test_jpeg_with_too_many_scans_is_rejected() -> None:
    data = encoded(Image.new("L", (800, 800)), "JPEG", progressive=True)
    scans = data[data.rindex(b"\xff\xda") : -2]
    assert decode(data[:-2] + scans * 200 + b"\xff\xd9").shape == (800, 800, 3)
    with pytest.raises(ImageTooLarge, match="scans of 800 x 800"):
        decode(data[:-2] + scans * 20_000 + b"\xff\xd9")


def test_tiles_larger_than_the_image_are_rejected() -> None:
    packed = zlib.compress(bytes(10_000))
    entries = [(256, 1), (257, 1), (258, 8), (259, 8), (262, 1), (277, 1)]
    entries += [(322, 8_000), (323, 8_000), (324, 8), (325, len(packed))]
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    data = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed
    data += struct.pack("<H", len(entries)) + fields + bytes(4)
    with pytest.raises(ImageTooLarge, match="tiles of 8,000 x 8,000 pixels"):
        decode(data)


def test_packed_metadata_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(200_000_000), 1)
    for name in (b"zTXt", b"iCCP"):
        with pytest.raises(ImageCorrupt, match="too large"):
            decode(png(1, 1, rows=b"\0\0", extra=chunk(name, b"a\0\0" + bomb)))


def test_pixels_beyond_the_header_are_not_unpacked() -> None:
    assert decode(png(1, 1, rows=bytes(100_000_000))).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"BMW is a car, not a bitmap",
        b"P5 is a word",
        b"P2 1 1 255 7",
        b"8BPS\0\1",
        b"\0\0\1\0\1\0",
    ],
)
def test_other_bytes_are_rejected(data: bytes) -> None:
    assert sniff(data[:HEAD]) is None
    with pytest.raises(FormatRefused, match=r"über\.x: format refused: ") as caught:
        decode(data, path="über.x")
    assert (caught.value.stage, caught.value.path) == ("header", "über.x")


@pytest.mark.parametrize("name", SAMPLES)
def test_truncated_files_are_errors(name: str) -> None:
    data = SAMPLES[name]
    for end in (HEAD, len(data) // 2):
        with pytest.raises(ImageError) as caught:
            decode(data[:end], path="猫.jpg")
        assert caught.value.path == "猫.jpg"
        assert caught.value.reason in str(caught.value)
        assert "0x" not in str(caught.value)  # no addresses of buffers


def test_error_message_names_the_problem() -> None:
    data = encoded(Image.new("RGB", (64, 64)), "PNG")
    with pytest.raises(ImageCorrupt) as caught:
        decode(data[:-30], path="cat.png")
    assert str(caught.value) == (
        "cat.png: cannot be decoded: image file is truncated (stage: decode)"
    )
    with pytest.raises(ImageCorrupt, match=r"^caf\\udce9\.png: "):
        decode(data[:-30], path="caf\udce9.png")
    with pytest.raises(ImageCorrupt, match=r"^image: "):
        decode(data[:-30])


WARNING = "Tag data larger than file|Truncated File Read"  # the texts of Pillow 13 and 12


def noisy_exif() -> bytes:
    """Return a sound JPEG whose EXIF makes Pillow warn of an offset beyond the file."""
    tags = struct.pack("<HHII", 0x010F, 2, 500, 60_000) + struct.pack("<HHII", 0x0112, 3, 1, 3)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + tags + bytes(4)
    return encoded(Image.fromarray(SCENE), "JPEG", exif=exif)


def test_decode_suppresses_pillows_warnings() -> None:
    data = noisy_exif()
    with pytest.warns(UserWarning, match=WARNING):
        Image.open(io.BytesIO(data)).getexif().get(0x010F)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = decode(data)
    plain = decode(encoded(Image.fromarray(SCENE), "JPEG"))
    with warnings.catch_warnings():  # Pillow 12 loses the orientation with the rest of such EXIF
        warnings.simplefilter("ignore")
        turned = Image.open(io.BytesIO(data)).getexif().get(0x0112) == 3
    np.testing.assert_array_equal(pixels, plain[::-1, ::-1] if turned else plain)


def test_pillows_warnings_in_the_callers_own_code_are_shown() -> None:
    data = noisy_exif()
    decode(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(data)
        with pytest.raises(UserWarning, match=WARNING):
            Image.open(io.BytesIO(data)).getexif().get(0x010F)


def test_threads_decode_the_same_without_warnings() -> None:
    data = noisy_exif()
    expected = decode(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ThreadPoolExecutor(8) as pool:
            for pixels in pool.map(decode, [data] * 200):
                np.testing.assert_array_equal(pixels, expected)
        assert len([entry for entry in warnings.filters if entry[4] == 0]) < 20


# smooth, so that every method of halving gives about the mean over 2 x 2 pixels
RAMP = np.dstack(
    [
        np.broadcast_to(np.linspace(0, 255, 96), (64, 96)),
        np.broadcast_to(np.linspace(0, 255, 64)[:, None], (64, 96)),
        np.full((64, 96), 90),
    ]
).astype(np.uint8)


def jpeg(pixels: Any, **options: Any) -> bytes:
    return encoded(Image.fromarray(pixels), "JPEG", **{"quality": 95, "subsampling": 0, **options})


@pytest.mark.parametrize(
    ("at_least", "shape"),
    [
        (0, (64, 96, 3)),
        (-1, (64, 96, 3)),
        (1, (8, 12, 3)),
        (8, (8, 12, 3)),
        (9, (16, 24, 3)),
        (16, (16, 24, 3)),
        (17, (32, 48, 3)),
        (32, (32, 48, 3)),
        (33, (64, 96, 3)),
        (65, (64, 96, 3)),
        (10**9, (64, 96, 3)),
    ],
)
def test_jpeg_is_decoded_at_the_smallest_sufficient_scale(
    at_least: int, shape: tuple[int, ...]
) -> None:
    for options in ({}, {"progressive": True}, {"subsampling": 2}):
        pixels = decode(jpeg(RAMP, **options), at_least=at_least)
        assert (pixels.shape, pixels.dtype) == (shape, np.uint8)
        scale = 64 // shape[0]
        mean = RAMP.reshape(shape[0], scale, shape[1], scale, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(pixels, mean, atol=4)


def test_scaled_decoding_keeps_the_proportions() -> None:
    # 92 = 4 * 23 and 62 = 2 * 31, so a quarter would round one edge up; 95 does not divide at all
    assert decode(jpeg(RAMP[:60, :92]), at_least=1).shape == (15, 23, 3)
    assert decode(jpeg(RAMP[:62, :92]), at_least=1).shape == (31, 46, 3)
    assert decode(jpeg(RAMP[:, :95]), at_least=1).shape == (64, 95, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM"])
def test_other_formats_are_decoded_whole(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(RAMP), kind, **options)
    np.testing.assert_array_equal(decode(data, at_least=8), RAMP)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_scaled_jpeg_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    whole = decode(jpeg(RAMP, exif=exif))
    half = decode(jpeg(RAMP, exif=exif), at_least=32)
    assert half.shape == (whole.shape[0] // 2, whole.shape[1] // 2, 3)
    np.testing.assert_allclose(half, whole[::2, ::2], atol=5)  # a pixel's step is at most 4


def test_scaled_jpeg_of_other_modes_is_rgb() -> None:
    gray_jpeg = encoded(Image.fromarray(RAMP[..., 0]), "JPEG", quality=95)
    np.testing.assert_allclose(decode(gray_jpeg, at_least=32), decode(gray_jpeg)[::2, ::2], atol=4)
    cmyk = encoded(Image.fromarray(RAMP).convert("CMYK"), "JPEG", quality=95)
    np.testing.assert_allclose(decode(cmyk, at_least=32), decode(cmyk)[::2, ::2], atol=5)
    mpo = encoded(
        Image.fromarray(RAMP), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))]
    )
    np.testing.assert_allclose(decode(mpo, at_least=32), decode(mpo)[::2, ::2], atol=5)


def test_cap_counts_the_pixels_of_a_scaled_jpeg() -> None:
    data = jpeg(RAMP)  # 96 x 64 = 6,144 pixels; 8 times as many as the cap are read for a scale
    assert decode(data, max_pixels=768, at_least=8).shape == (8, 12, 3)
    with pytest.raises(ImageTooLarge, match="96 x 64 pixels, at most 6,136 are"):
        decode(data, max_pixels=767, at_least=8)
    with pytest.raises(ImageTooLarge, match="96 x 64 pixels, at most 6,143 are"):
        decode(data, max_pixels=6_143)
    with pytest.raises(ImageTooLarge, match="scaled to 48 x 32 pixels, at most 1,535 are"):
        decode(data, max_pixels=1_535, at_least=32)


def test_progressive_jpeg_is_held_whole_at_every_scale() -> None:
    data = jpeg(RAMP, progressive=True)
    assert decode(data, max_pixels=3_072, at_least=8).shape == (8, 12, 3)
    with pytest.raises(ImageTooLarge, match="96 x 64 pixels, at most 6,142 are"):
        decode(data, max_pixels=3_071, at_least=8)


def test_jpeg_above_the_limit_is_scaled_with_rounded_edges() -> None:
    odd = RAMP[:63, :95]
    data = jpeg(odd)
    assert decode(data, at_least=1).shape == (63, 95, 3)
    scaled = decode(data, at_least=1, max_pixels=5_000)
    assert scaled.shape == (8, 12, 3)  # 63 / 8 and 95 / 8, rounded up
    np.testing.assert_allclose(scaled[:7, :11], decode(jpeg(RAMP), at_least=8)[:7, :11], atol=5)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "PPM"])
def test_pillows_own_limit_does_not_apply(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # as if 35 pixels were 630 million
    assert decode(SAMPLES[kind]).shape == (5, 7, 3)
    assert header(SAMPLES[kind]) == (kind, 7, 5)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_scaled_jpeg_raises_the_errors_of_the_whole() -> None:
    with pytest.raises(FormatRefused):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n", at_least=8)
    for options in ({}, {"progressive": True}):
        data = jpeg(RAMP, **options)
        for end in (HEAD, len(data) // 2, len(data) - 40):
            with pytest.raises(ImageCorrupt) as whole:
                decode(data[:end], path="切れ.jpg")
            with pytest.raises(ImageCorrupt) as scaled:
                decode(data[:end], path="切れ.jpg", at_least=8)
            assert str(scaled.value) == str(whole.value)


@pytest.mark.parametrize("name", SAMPLES)
def test_picture_holds_the_same_pixels(name: str) -> None:
    image = picture(SAMPLES[name])
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), decode(SAMPLES[name]))


def test_picture_raises_the_errors_of_decode() -> None:
    with pytest.raises(ImageCorrupt, match=r"^写真\.png: cannot be decoded"):
        picture(SAMPLES["PNG"][:-30], path="写真.png")
    with pytest.raises(ImageTooLarge):
        picture(SAMPLES["PNG"], max_pixels=34)


def test_thumbnail_is_a_small_jpeg() -> None:
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:, 200:] = (200, 30, 30)
    data = thumbnail(pixels, side=100)
    shrunk = decode(data)
    assert (sniff(data[:HEAD]), shrunk.shape, len(data) < 2_000) == ("JPEG", (75, 100, 3), True)
    np.testing.assert_allclose(shrunk[40, 90].astype(int), [200, 30, 30], atol=6)
    assert decode(thumbnail(SCENE, side=100)).shape == (5, 7, 3)
    assert decode(thumbnail(np.zeros((1, 4000, 3), np.uint8), side=50)).shape == (1, 50, 3)


def test_small_reads_a_jpeg_at_a_scale() -> None:
    data = small(jpeg(RAMP), side=8, max_pixels=6_144 // 8)
    assert decode(data).shape == (5, 8, 3)


DAMAGED = {
    **SAMPLES,
    "JPEG that scales": jpeg(RAMP),
    "JPEG that scales, progressive": jpeg(RAMP, progressive=True),
}


damages = given(
    name=st.sampled_from(sorted(DAMAGED)),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    keep=st.one_of(st.just(1.0), st.floats(0, 1)),
    tail=st.binary(max_size=12),
    at_least=st.sampled_from([0, 1]),
)


def decode_damaged(
    name: str, flips: list[tuple[float, int]], keep: float, tail: bytes, at_least: int
) -> None:
    data = bytearray(DAMAGED[name])
    for where, value in flips:
        data[int(where * len(data))] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(ImageError):  # and nothing else
            damaged = bytes(data[: int(keep * len(data))]) + tail
            pixels = decode(damaged, max_pixels=1_000_000, at_least=at_least)
            assert (pixels.ndim, pixels.shape[2], pixels.dtype) == (3, 3, np.uint8)


@settings(max_examples=300, deadline=None, derandomize=True)
@damages
def test_only_image_errors_are_raised(**damage: Any) -> None:
    decode_damaged(**damage)


@pytest.mark.nightly
@settings(max_examples=5000, deadline=None)
@damages
def test_only_image_errors_are_raised_for_many_damages(**damage: Any) -> None:
    decode_damaged(**damage)


NASTY = """
import json, re, sys, time, warnings
from pathlib import Path
from imgsearch.errors import ImageError
from imgsearch.images import decode
warnings.simplefilter("error")
for name in sys.stdin.read().split("\\0"):
    data, start = Path(name).read_bytes(), time.monotonic()
    try:
        result = list(decode(data, path=name).shape)
    except ImageError as error:
        result = type(error).__name__
    # not ru_maxrss, which starts at what the parent held when it forked
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    print(json.dumps([result, time.monotonic() - start, peak]), flush=True)
"""
NAMES_OF_PILLOW = {*FORMATS, "MPO"}
INDEX_ERRS = {
    "apng__chunk_no_fctl.png",  # Pillow itself refuses it on load(): "frame sequence errors"
    "crash-0da013a13571cc8eb457a39fee8db18f8a3c7127.tif",  # so does Pillow 12.3, 13.0 does not
    "crash-74d2a78403a5a59db1fb0a2b8735ac068a75f6e3.tif",  # the same
}


@pytest.mark.skipif(not (SHARED / "nasty").exists(), reason="needs the nasty files of ../shared")
@pytest.mark.timeout(120)
def test_malformed_files_give_pixels_or_image_errors() -> None:
    folder = SHARED / "nasty"
    index = json.loads((folder / "index.json").read_text())
    listed = "\0".join(str(folder / entry["file"]) for entry in index)
    done = subprocess.run(
        [sys.executable, "-c", NASTY],
        input=listed,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=Path(__file__).parents[2],
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, len(results)) == (0, len(index)), done.stderr[-2000:]
    assert max(seconds for _, seconds, _ in results) < 5
    assert max(peak for _, _, peak in results) < 1e9
    for entry, (result, _, _) in zip(index, results, strict=True):
        name = entry["file"]
        plain = (folder / name).read_bytes()[:2] in (b"P1", b"P2", b"P3")
        if entry.get("fmt") not in NAMES_OF_PILLOW or not entry.get("ok") or plain:
            assert isinstance(result, str), name
        elif name not in INDEX_ERRS:
            # TIFF announces its upright size, as Pillow's load() turns it
            turned = (entry["exif_o"] or 1) > 4 and entry["fmt"] != "TIFF"
            wide, high = reversed(entry["wh"]) if turned else entry["wh"]
            assert result == [high, wide, 3], name
