"""Transparency and cropping that Pillow 12.3 does not handle."""

import struct

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile, _Tile

from imgsearch.images.avif import clean_aperture
from imgsearch.images.encoded_image import EncodedImage

_Box = tuple[int, int, int, int]  # left, top, right, bottom

_GRAY, _COLOR = 0, 2  # color types of PNG
_DEPTH, _TYPE = 24, 25  # offsets of bit depth and color type in a PNG: its first chunk is fixed
_UPPER, _LOWER = "RGB;16B", "RGB;16L"  # modes that read the upper or lower byte of each sample


def cut(image: ImageFile, encoded: EncodedImage) -> _Box | None:
    """Return the visible box before rotation. Returns None if the whole image is visible."""
    return clean_aperture(encoded.data, *image.size) if encoded.kind == "AVIF" else None


def uncovered(image: ImageFile, encoded: EncodedImage) -> Image.Image | None:
    """Return a mask of the transparent pixels. Returns None if Pillow handles transparency.

    Call this function before `image` is loaded. If the first frame is smaller than the canvas, the
    rest is transparent, as in browsers, which ignore GIF background colors. The transparent color
    of a 16-bit PNG is compared in all 16 bits.
    """
    if encoded.kind == "GIF":
        return _around(image.size, image.tile[0].extents) if image.tile else None
    if encoded.kind == "WEBP":
        return _around(image.size, _first_frame(encoded.data))
    if encoded.kind == "PNG":
        return _keyed(image, encoded)
    return None


def _around(size: tuple[int, int], box: _Box | None) -> Image.Image | None:
    if box is None or box == (0, 0, *size):
        return None
    mask = Image.new("L", size, 255)
    mask.paste(0, box)
    return mask


def _first_frame(data: bytes) -> _Box | None:
    """Return the first frame's box in an animated WebP. Returns None for a still image.

    Source: https://developers.google.com/speed/webp/docs/riff_container
    """
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        if name == b"ANMF" and place + 20 <= len(data):
            left, top, width, height = (
                int.from_bytes(data[at : at + 3], "little")
                for at in range(place + 8, place + 20, 3)
            )
            return left * 2, top * 2, left * 2 + width + 1, top * 2 + height + 1
        place += 8 + size + size % 2
    return None


def _keyed(image: ImageFile, encoded: EncodedImage) -> Image.Image | None:
    """Scale a PNG's transparent color to the range of the pixels, or return its mask (16 bits)."""
    key, depth, kind = image.info.get("transparency"), encoded.data[_DEPTH], encoded.data[_TYPE]
    if kind == _GRAY and depth < 8 and isinstance(key, int):
        # Pillow scales pixels of 2 and 4 bits to 0..255, but not the transparent color
        image.info["transparency"] = (key & (1 << depth) - 1) * 255 // ((1 << depth) - 1)
    if kind != _COLOR or depth != 16 or not isinstance(key, tuple):
        return None
    del image.info["transparency"]
    color = np.array(key)
    is_key = np.ones(image.size[::-1], bool)
    for rawmode, half in ((_UPPER, color >> 8), (_LOWER, color & 255)):
        again = encoded.open()
        again.tile = [
            _Tile(tile.codec_name, tile.extents, tile.offset, rawmode) for tile in again.tile
        ]
        again.info.pop("transparency", None)
        is_key &= (np.asarray(again) == half).all(axis=-1)
    return Image.fromarray(is_key)
