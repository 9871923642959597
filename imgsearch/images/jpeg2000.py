"""Multi-component JPEG 2000 with a bit depth other than 8, which Pillow 12.3 scales wrongly.

Pillow shifts values of less than 8 bits to the left, so white does not reach 255. It rounds deeper
values to 8 bits without clipping, so the largest values overflow from 256 to 0 and white turns
black. A second decode distinguishes these zeros from black: it declares one more bit of depth, so
values land in the middle of the range and cannot overflow.

Source: https://www.itu.int/rec/T-REC-T.800, A.5.1 (SIZ), A.6.4 and A.6.5 (QCD, QCC), E.1.1.
"""

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from PIL import Image

from imgsearch.images.bounds.jpeg2000 import codestream
from imgsearch.images.boxes import boxes_at
from imgsearch.images.encoded_image import EncodedImage

_QCD, _QCC, _SOT, _SOD = 0x5C, 0x5D, 0x90, 0x93  # the second byte of each marker
_REVERSIBLE: Final = 0  # style of quantization
_GUARD: Final = 1 << 5  # one guard bit in the style's byte
_EXPONENT: Final = 1 << 11  # one in the exponent of a step size
_MODES: Final = {"LA", "RGB", "RGBA", "CMYK"}  # with several components and no palette
_SYCC: Final = b"\x12"  # enumerated color space


def in_eight_bits(image: Image.Image, encoded: EncodedImage) -> Image.Image:
    """Return a loaded image with its components scaled to the full 8-bit range.

    Raises:
        ValueError: the layout is not supported.
    """
    bands, start = len(image.getbands()), codestream(encoded.data)
    if start is None or image.mode not in _MODES:
        return image
    first = start + 42  # three bytes per component: bits minus 1, horizontal step, vertical step
    depths, *steps = (encoded.data[first + field : first + 3 * bands : 3] for field in range(3))
    bits = [(depth & 0x7F) + 1 for depth in depths]
    if set(bits) == {8}:
        return image
    if {*steps[0], *steps[1]} != {1} or _is_sycc(encoded.data[:start]):
        raise ValueError("JPEG 2000 of other than 8 bits with subsampled color is not supported")
    pixels = np.array(image)
    for band, depth in enumerate(bits):
        if depth < 8:
            values = pixels[..., band].astype(np.uint16) >> (8 - depth)
            pixels[..., band] = values * 255 // ((1 << depth) - 1)
    if max(bits) > 8 and not pixels.all():
        with replace(encoded, data=_with_a_bit_more(encoded.data, start)).open() as middle:
            # Pillow's property returns a method if the value is 0
            middle.reduce = vars(image)["_reduce"]  # type: ignore[method-assign]
            pixels[(pixels == 0) & (np.asarray(middle) >= 128) & (np.array(bits) > 8)] = 255
    return Image.frombytes(image.mode, image.size, pixels.tobytes())


def _is_sycc(boxes: bytes) -> bool:
    return any(
        boxes[start : start + 1] == b"\1" and boxes[start + 6 : start + 7] == _SYCC
        for start, _ in boxes_at(boxes, b"jp2h", b"colr")
    )


def _with_a_bit_more(data: bytes, start: int) -> bytes:
    """Return the file with one more bit declared for each component, and the same values."""
    out = bytearray(data)
    (components,) = struct.unpack_from(">H", data, start + 40)
    for place in range(start + 42, start + 42 + 3 * components, 3):
        out[place] += 1
    at = start + 2
    for marker, place, end in _segments(data, at):
        if marker in (_QCD, _QCC):
            _keep_steps(out, place + (marker == _QCC), end)
        at = end
    for part in _tile_parts(data, at):
        if any(marker in (_QCD, _QCC) for marker, *_ in _segments(data, part)):
            raise ValueError(
                "JPEG 2000 of more than 8 bits with quantization in a tile is not supported"
            )
    return bytes(out)


def _keep_steps(out: bytearray, place: int, end: int) -> None:
    """Adapt a quantization to one more bit of range, so that its step sizes do not change.

    A step is 2 ** (range - exponent), and exponent + guard bits - 1 bit planes are stored.
    """
    if out[place] & 0x1F == _REVERSIBLE:
        return
    if out[place] < 2 * _GUARD:
        raise ValueError("JPEG 2000 of more than 8 bits without guard bits is not supported")
    out[place] -= _GUARD
    for at in range(place + 1, end - 1, 2):
        (step,) = struct.unpack_from(">H", out, at)
        struct.pack_into(">H", out, at, min(step + _EXPONENT, 0xFFFF))


def _tile_parts(data: bytes, at: int) -> Iterator[int]:
    """Yield the offset after the first segment (SOT) of each tile-part header."""
    while at + 12 <= len(data) and data[at + 1] == _SOT:
        yield at + 12
        (length,) = struct.unpack_from(">I", data, at + 6)
        at += length or len(data)


def _segments(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment's content in a header."""
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (_SOT, _SOD):
        end = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
        yield data[at + 1], at + 4, min(end, len(data))
        at = end
