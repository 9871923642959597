"""Fourteen changes of an image after which a near-duplicate search should still find it.

Each original is a query once per change, and hit@1 is averaged over originals and changes. A
transform takes and returns uint8 pixels (height, width, 3) in RGB, with at least one pixel a side.
It is deterministic and does not modify its argument. Percentages refer to the sides, not the area.
The published figures are for images of at most 400 pixels a side.
"""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from imgsearch.types import Pixels


def jpeg_10(image: Pixels) -> Pixels:
    """Return the picture after JPEG compression at quality 10: blocks and washed-out color."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=10)
    with Image.open(buffer, formats=["JPEG"]) as compressed:
        return _pixels(compressed)


def thumbnail_96(image: Pixels) -> Pixels:
    """Return the picture resized to a width of 96 pixels, with its aspect ratio."""
    height, width, _ = image.shape
    size = (96, max(1, round(height * 96 / width)))
    return _pixels(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def center_crop_80(image: Pixels) -> Pixels:
    """Return the middle 80 % of each side."""
    return _crop(image, share=0.8, position=0.5)


def center_crop_50(image: Pixels) -> Pixels:
    """Return the middle half of each side, which is a quarter of the picture."""
    return _crop(image, share=0.5, position=0.5)


def corner_crop_60(image: Pixels) -> Pixels:
    """Return the top left 60 % of each side."""
    return _crop(image, share=0.6, position=0.0)


def flip(image: Pixels) -> Pixels:
    """Return the picture mirrored left to right."""
    return np.ascontiguousarray(image[:, ::-1])


def rotation_10(image: Pixels) -> Pixels:
    """Return the picture rotated by 10 degrees counterclockwise, with black corners."""
    return _pixels(Image.fromarray(image).rotate(10, Image.Resampling.BICUBIC))


def rotation_90(image: Pixels) -> Pixels:
    """Return the picture rotated by 90 degrees counterclockwise."""
    return np.ascontiguousarray(np.rot90(image))


def gray(image: Pixels) -> Pixels:
    """Return the ITU-R 601 luma of the picture in all three channels."""
    return _pixels(Image.fromarray(image).convert("L"))


def brightness_160(image: Pixels) -> Pixels:
    """Return the picture with each value multiplied by 1.6 and clipped at 255."""
    brighter: Pixels = np.minimum(np.rint(image * 1.6), 255).astype(np.uint8)
    return brighter


def blur(image: Pixels) -> Pixels:
    """Return the picture with a Gaussian blur; sigma is a hundredth of the longer side."""
    radius = max(image.shape[:2]) / 100
    return _pixels(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def text_bars(image: Pixels) -> Pixels:
    """Return the picture covered by three white bars with black text, each 1/12 of its height."""
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    thickness = max(1, height // 12)
    font = ImageFont.load_default(size=max(1, thickness * 3 // 4))
    for quarter in (1, 2, 3):
        top = height * quarter // 4 - thickness // 2
        draw.rectangle((0, top, width - 1, top + thickness - 1), fill="white")
        draw.text((width // 20, top), "the quick brown fox, 1234567890", fill="black", font=font)
    return _pixels(picture)


def padding_50(image: Pixels) -> Pixels:
    """Return the picture centered on a black background with 50 % longer sides."""
    height, width, _ = image.shape
    padded = np.zeros((height + height // 2, width + width // 2, 3), np.uint8)
    top, left = height // 4, width // 4
    padded[top : top + height, left : left + width] = image
    return padded


def aspect_150(image: Pixels) -> Pixels:
    """Return the picture stretched to 1.5 times its width and its original height."""
    height, width, _ = image.shape
    size = (max(1, round(width * 1.5)), height)
    return _pixels(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _crop(image: Pixels, *, share: float, position: float) -> Pixels:
    """Return `share` of each side, at the top left (`position` 0) or in the middle (0.5)."""
    height, width = (max(1, round(side * share)) for side in image.shape[:2])
    top, left = (
        int((side - kept) * position)
        for side, kept in zip(image.shape[:2], (height, width), strict=True)
    )
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _pixels(picture: Image.Image) -> Pixels:
    """Return a Pillow image as a new RGB array."""
    return np.array(picture.convert("RGB"))


TRANSFORMS: Mapping[str, Callable[[Pixels], Pixels]] = MappingProxyType(
    {
        transform.__name__: transform
        for transform in (
            jpeg_10,
            thumbnail_96,
            center_crop_80,
            center_crop_50,
            corner_crop_60,
            flip,
            rotation_10,
            rotation_90,
            gray,
            brightness_160,
            blur,
            text_bars,
            padding_50,
            aspect_150,
        )
    }
)
"""The transforms by name, in the order of the published figures."""
