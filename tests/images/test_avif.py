"""AVIF files are cropped to their clean aperture, and turned by their properties."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgsearch.images import decode, header
from imgsearch.images.boxes import HEADERS, boxes_in

WIDTH, HEIGHT = 64, 48
SCENE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
SCENE[:, 16:, 0] = 255  # red from column 16 on
SCENE[12:, :, 2] = 255  # blue from row 12 on


def avif(**options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(SCENE).save(buffer, "AVIF", quality=100, subsampling="4:4:4", **options)
    return buffer.getvalue()


def inserted(data: bytes, path: tuple[bytes, ...], payload: bytes) -> bytes:
    """Return the file with bytes added to a box, and all sizes and offsets corrected."""
    out, start, end = bytearray(data), 0, len(data)
    for name in path:
        start, end = next(
            (first, last)
            for box_name, first, last in boxes_in(data, start, end)
            if box_name == name
        )
        struct.pack_into(">I", out, start - 8, end - start + 8 + len(payload))
        start += HEADERS.get(name, 0)
    out[end:end] = payload
    return bytes(out)


def moved(data: bytes, by: int) -> bytes:
    """Return the file with the offsets of its pixels moved by a number of bytes."""
    out = bytearray(data)
    place = data.index(b"iloc") + 4
    (items,) = struct.unpack_from(">H", data, place + 6)
    for item in range(items):  # version 0: item, source, extents, offset and length of the one
        (at,) = struct.unpack_from(">I", data, place + 8 + item * 14 + 6)
        struct.pack_into(">I", out, place + 8 + item * 14 + 6, at + by)
    if b"stco" in data:
        place = data.index(b"stco") + 12
        (at,) = struct.unpack_from(">I", data, place)
        struct.pack_into(">I", out, place, at + by)
    return bytes(out)


def clap(*values: int) -> bytes:
    return struct.pack(">I4sIIIIiIiI", 40, b"clap", *values)


def with_clap(data: bytes, *values: int) -> bytes:
    """Return the file with a clean aperture: width, height, right and down as fractions."""
    properties = sum(1 for _ in boxes_in(data, *content(data, b"ipco")))
    start, _ = content(data, b"ipma")
    out = bytearray(data)
    out[start + 10] += 1  # the first item's associations, counted in a byte
    associated = start + 11 + data[start + 10]
    longer = inserted(bytes(out), (b"meta", b"iprp", b"ipma"), b"\x80")
    last = content(longer, b"ipma")[1]
    longer = (
        longer[:associated] + bytes([0x80 | properties + 1]) + longer[associated : last - 1]
        + longer[last:]
    )  # fmt: skip
    return moved(inserted(longer, (b"meta", b"iprp", b"ipco"), clap(*values)), 41)


def content(data: bytes, name: bytes) -> tuple[int, int]:
    place = data.index(name) + 4
    return place, place - 8 + struct.unpack_from(">I", data, place - 8)[0]


# 32 x 24 in the middle: columns 16 to 47, rows 12 to 35; both colors begin at its corner
MIDDLE = (32, 1, 24, 1, 0, 1, 0, 1)


def test_clean_aperture_is_cut_out() -> None:
    data = with_clap(avif(), *MIDDLE)
    pixels = decode(data)
    assert header(data) == ("AVIF", 32, 24)
    np.testing.assert_allclose(pixels, SCENE[12:36, 16:48], atol=3)
    right = with_clap(avif(), 32, 1, 24, 1, 16, 1, -24, 2)  # 16 to the right, 12 up
    np.testing.assert_allclose(decode(right), SCENE[:24, 32:], atol=3)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_aperture_is_cut_before_the_picture_is_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = with_clap(avif(exif=exif), 32, 1, 24, 1, -16, 1, -12, 1)  # the upper left quarter
    turns = {3: 2, 6: -1, 8: 1}[orientation]
    expected = np.rot90(SCENE[:24, :32], turns)
    np.testing.assert_allclose(decode(data), expected, atol=3)
    assert header(data)[1:] == expected.shape[1::-1]


@pytest.mark.parametrize(
    "values",
    [
        (32, 0, 24, 1, 0, 1, 0, 1),
        (0, 1, 24, 1, 0, 1, 0, 1),
        (80, 1, 24, 1, 0, 1, 0, 1),
        (32, 1, 24, 1, 17, 1, 0, 1),
        (32, 1, 24, 1, 0, 1, -13, 1),
    ],
)
def test_aperture_outside_the_picture_is_ignored(values: tuple[int, ...]) -> None:
    data = with_clap(avif(), *values)
    assert header(data) == ("AVIF", WIDTH, HEIGHT)
    assert decode(data).shape == (HEIGHT, WIDTH, 3)


def test_sequence_has_the_aperture_of_its_track() -> None:
    film = avif(save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))])
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"av01")
    data = moved(inserted(film, path, clap(*MIDDLE)), 40)
    assert header(data) == ("AVIF", 32, 24)
    np.testing.assert_allclose(decode(data), SCENE[12:36, 16:48], atol=3)
