"""Transparent and cropped parts of an image that Pillow 12.3 does not handle."""

import struct

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile, _Tile

from imgsearch.images.avif import clean_aperture
from imgsearch.images.encoded_image import EncodedImage

_Box = tuple[int, int, int, int]  # left, top, right, bottom

_GRAY, _COLOR = 0, 2  # color types of PNG
_DEPTH, _TYPE = 24, 25  # offsets of the bits and the color type of a PNG: its first chunk is fixed
_UPPER, _LOWER = "RGB;16B", "RGB;16L"  # modes that read the upper or lower byte of each number


def cut(image: ImageFile, encoded: EncodedImage) -> _Box | None:
    """Return the visible box of the image before it is rotated; None for the whole image."""
    return clean_aperture(encoded.data, *image.size) if encoded.kind == "AVIF" else None


def uncovered(image: ImageFile, encoded: EncodedImage) -> Image.Image | None:
    """Return a mask of the transparent pixels, or None if Pillow handles them.

    Call it before `image` is loaded. A first frame that is smaller than the canvas leaves the rest
    transparent, as in browsers, which ignore the background color of GIF. The transparent color
    of a PNG is compared in all 16 bits.
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
    """Return the box of the first frame of an animated WebP, None for a still image.

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
    """Scale the transparent color of a PNG to the range of the pixels, or return its mask."""
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
