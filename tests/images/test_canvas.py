"""Transparent pixels, and the part of a canvas that a picture does not cover, become white."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgsearch.images import decode, header
from tests.images.test_decoder import chunk

RED, WHITE = [200, 0, 0], [255] * 3
GRAPHICS = b"!\xf9\x04"  # begins a GIF's graphic control extension


def gif(box: tuple[int, int, int, int], *, control: bytes = b"") -> bytes:
    """Return a GIF of 12 x 10 whose one frame, red, lies at left, top with width and height."""
    palette = bytes([0, 0, 200, *RED, 9, 9, 9, 0, 200, 0])  # the background is blue
    left, top, width, height = box
    buffer = io.BytesIO()
    Image.new("P", (width, height), 1).save(buffer, "GIF", optimize=False)
    whole = buffer.getvalue()
    start = whole.index(b",", 13)
    flags = whole[start + 9]
    pixels = start + 10 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    frame = b"," + struct.pack("<HHHHB", left, top, width, height, flags & 0x40)
    head = b"GIF89a" + struct.pack("<HHBBB", 12, 10, 0x81, 0, 0) + palette
    return head + control + frame + whole[pixels:]


def framed(box: tuple[int, int, int, int]) -> Any:
    left, top, width, height = box
    expected = np.full((10, 12, 3), 255, np.uint8)
    expected[top : top + height, left : left + width] = RED
    return expected


@pytest.mark.parametrize("box", [(0, 0, 12, 10), (0, 0, 5, 4), (4, 3, 5, 4), (11, 9, 1, 1)])
@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_gifs_canvas_is_white_where_its_first_frame_ends(
    box: tuple[int, int, int, int], disposal: int
) -> None:
    np.testing.assert_array_equal(decode(gif(box)), framed(box))
    for key in (0, 2):  # two colors that the frame does not use
        control = GRAPHICS + bytes([disposal << 2 | 1, 0, 0, key, 0])
        np.testing.assert_array_equal(decode(gif(box, control=control)), framed(box))
    assert header(gif(box)) == ("GIF", 12, 10)


def test_gifs_transparent_pixels_are_white() -> None:
    data = gif((4, 3, 5, 4), control=GRAPHICS + bytes([1, 0, 0, 1, 0]))
    assert (decode(data) == 255).all()


def riff(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


@pytest.mark.parametrize("alpha", [0, 0x10])
def test_webps_canvas_is_white_where_its_first_frame_ends(alpha: int) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), tuple(RED)).save(buffer, "WEBP", lossless=True)
    numbers = [struct.pack("<I", number)[:3] for number in (2, 1, 4, 3, 100)]  # 4, 2, 5 x 4, ms
    frame = riff(b"ANMF", b"".join(numbers) + b"\0" + buffer.getvalue()[12:])
    head = riff(b"VP8X", bytes([2 | alpha, 0, 0, 0, 11, 0, 0, 9, 0, 0]))
    body = head + riff(b"ANIM", bytes([16, 32, 48, 255, 0, 0])) + frame
    data = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    np.testing.assert_array_equal(decode(data), framed((4, 2, 5, 4)))


def bmp(*alphas: int) -> bytes:
    """Return a BMP of one row, red, whose pixels have these alphas."""
    pixels = b"".join(bytes([0, 0, 200, alpha]) for alpha in alphas)
    head = struct.pack("<IiiHHIIiiII", 108, len(alphas), 1, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
    file = struct.pack("<IHHI", 14 + 108 + len(pixels), 0, 0, 14 + 108)
    return b"BM" + file + head + masks + pixels


def test_bmp_whose_alpha_is_0_everywhere_is_opaque() -> None:
    assert decode(bmp(0, 0)).tolist() == [[RED, RED]]
    assert decode(bmp(0, 255)).tolist() == [[WHITE, RED]]


def png(depth: int, kind: int, row: bytes, key: bytes, *, interlaced: bool = False) -> bytes:
    """Return a PNG of 2 x 1 with a transparent color."""
    first = struct.pack(">IIBBBBB", 2, 1, depth, kind, 0, 0, interlaced)
    rows = b"\0" + row
    if interlaced:  # Adam7 has the pixels in its first and sixth pass
        half = len(row) // 2
        rows = b"\0" + row[:half] + b"\0" + row[half:]
    parts = (b"IHDR", first), (b"tRNS", key), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("interlaced", [False, True])
def test_16_bit_color_is_transparent_if_all_bits_match(interlaced: bool) -> None:
    key = struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)
    near = struct.pack(">HHH", 0x1235, 0x5678, 0x9ABC)
    data = png(16, 2, key + near, key, interlaced=interlaced)
    assert decode(data).tolist() == [[WHITE, [0x12, 0x56, 0x9A]]]


@pytest.mark.parametrize(("depth", "row"), [(1, 0b01 << 6), (2, 0b0011 << 4), (4, 0x0F)])
def test_transparent_gray_of_fewer_than_8_bits_is_white(depth: int, row: int) -> None:
    full = (1 << depth) - 1
    black, white = [0] * 3, WHITE
    assert decode(png(depth, 0, bytes([row]), struct.pack(">H", 0))).tolist() == [[white, white]]
    assert decode(png(depth, 0, bytes([row]), struct.pack(">H", full))).tolist() == [[black, white]]
    if depth > 1:  # the first pixel is 1
        step = [255 // full] * 3
        mixed = bytes([row | 1 << 8 - depth])
        assert decode(png(depth, 0, mixed, struct.pack(">H", 1))).tolist() == [[white, white]]
        assert decode(png(depth, 0, mixed, struct.pack(">H", 2))).tolist() == [[step, white]]
