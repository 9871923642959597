"""What of a picture is transparent or cut off beyond what Pillow 12.3 does about it."""

import struct

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile, _Tile

from imgsearch.images.avif import clean_aperture
from imgsearch.images.encoded_image import EncodedImage

_Box = tuple[int, int, int, int]  # left, top, right, bottom

_GREY, _COLOUR = 0, 2  # colour types of PNG
_DEPTH, _TYPE = 24, 25  # where a PNG says its bits and colour type: its first chunk is fixed
_UPPER, _LOWER = "RGB;16B", "RGB;16L"  # the bytes of big-endian numbers that each takes


def cut(image: ImageFile, encoded: EncodedImage) -> _Box | None:
    """Return the box of the picture to be seen, before it is turned; None for all of it."""
    return clean_aperture(encoded.data, *image.size) if encoded.kind == "AVIF" else None


def uncovered(image: ImageFile, encoded: EncodedImage) -> Image.Image | None:
    """Return a mask of the pixels that are transparent, None where Pillow knows them.

    Before `image` is loaded. A first frame that is smaller than its animation's canvas leaves the
    rest transparent, as browsers show it; the background colour of GIF is not used. A PNG's
    transparent colour is compared with all 16 bits.
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
    """Return where the first frame of an animated WebP lies, None for a single picture.

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
    """Bring a PNG's transparent colour to the range of the pixels, or return where it shows."""
    key, depth, kind = image.info.get("transparency"), encoded.data[_DEPTH], encoded.data[_TYPE]
    if kind == _GREY and depth < 8 and isinstance(key, int):
        # Pillow spreads 2 and 4 bits over 0 to 255
        image.info["transparency"] = (key & (1 << depth) - 1) * 255 // ((1 << depth) - 1)
    if kind != _COLOUR or depth != 16 or not isinstance(key, tuple):
        return None
    del image.info["transparency"]
    wanted = np.array(key)
    shown = np.ones(image.size[::-1], bool)
    for rawmode, half in ((_UPPER, wanted >> 8), (_LOWER, wanted & 255)):
        again = encoded.open()
        again.tile = [
            _Tile(each.codec_name, each.extents, each.offset, rawmode) for each in again.tile
        ]
        again.info.pop("transparency", None)
        shown &= (np.asarray(again) == half).all(axis=-1)
    return Image.fromarray(shown)
