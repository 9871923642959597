"""Converts any Pillow mode to 8-bit RGB, according to the rules of `decoder.decode`."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.images import tiff
from imgsearch.images.tiff_image import TiffImage

_BLOCK: Final = 1 << 20  # values: 8 MB as float64; at most 50 blocks at the default pixel limit


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded image in mode RGB, with transparent pixels blended with white."""
    signed = isinstance(image, TiffImage) and image.is_signed
    if image.mode in {"I", "F"} or image.mode.startswith("I;16") or signed:
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.format == "BMP" and image.mode == "RGBA" and _is_clear(image):
        return image.convert(
            "RGB"
        )  # as in browsers, because some writers declare alpha and leave it 0
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        canvas = Image.new("RGB", layer.size, "white")
        canvas.paste(layer, mask=layer.getchannel("A"))
        return canvas
    if image.mode == "LAB":  # convert() does not support this mode, but color management does
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        if converted is None:
            raise ValueError("no conversion from LAB")
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_clear(image: Image.Image) -> bool:
    return image.getchannel("A").getextrema() == (0, 0)


def _eight_bits(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return gray that is signed or deeper than 8 bits as uint8 (height, width)."""
    values = image.samples() if isinstance(image, TiffImage) else np.asarray(image)
    gray = _upper_bits(image, values) if image.mode.startswith("I;16") else _stretched(values)
    return 255 - gray if isinstance(image, TiffImage) and image.is_min_white else gray


def _upper_bits(image: Image.Image, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    # Pillow returns 12-bit TIFF unscaled, in 16 bits
    twelve = getattr(image, "tag_v2", {}).get(tiff.BITS) == (12,)
    gray: npt.NDArray[np.uint8] = (values >> (4 if twelve else 8)).astype(np.uint8)
    if isinstance(image.info.get("transparency"), int):  # convert() ignores it in these modes
        gray[values == image.info["transparency"]] = 255
    return gray


def _stretched(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Scale numbers to 8 bits from the usual range of their type, or else from their own range."""
    low = min(float(block.min()) for block in _blocks(values))
    high = max(float(block.max()) for block in _blocks(values))
    usual = {"f": (1.0, 255.0), "i": (65535.0,), "u": (65535.0,)}[values.dtype.kind]
    if low >= 0 and values.dtype != np.int8:
        low, high = next(((0.0, full) for full in usual if high <= full), (low, high))
    if values.dtype.kind in "iu" and (low, high) == (0.0, 65535.0):
        return (values >> 8).astype(np.uint8)
    scale = 255 / ((high - low) or 1.0)
    scaled = [np.rint((block - low) * scale).astype(np.uint8) for block in _blocks(values)]
    return np.concatenate(scaled).reshape(values.shape)


def _blocks(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float64]]:
    """Yield all values in blocks of float64, to save memory. NaN and infinity become 0."""
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        with np.errstate(invalid="ignore"):  # raised by a signaling NaN
            wide = flat[start : start + _BLOCK].astype(np.float64)
        yield np.nan_to_num(wide, nan=0, posinf=0, neginf=0)
