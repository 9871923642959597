"""The fourteen changes that a near-duplicate search must see through.

An original of the gallery is queried through each of them, and hit@1 is averaged over originals
and transforms. Each takes and returns decoded pixels, uint8 (height, width, 3) RGB, keeps at least
one pixel a side, draws nothing at random and leaves its argument as it was. Percentages are of the
sides, not of the area. Pictures are meant to come in at most 400 pixels a side, the size that the
protocol's figures are stated for.
"""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from imgsearch.types import Pixels


def jpeg_10(image: Pixels) -> Pixels:
    """Return the picture after JPEG at quality 10: blocks and washed-out colour."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=10)
    with Image.open(buffer, formats=["JPEG"]) as compressed:
        return _pixels(compressed)


def thumbnail_96(image: Pixels) -> Pixels:
    """Return the picture 96 pixels wide, its shape kept."""
    height, width, _ = image.shape
    size = (96, max(1, round(height * 96 / width)))
    return _pixels(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def centre_crop_80(image: Pixels) -> Pixels:
    """Return the middle 80 % of each side."""
    return _crop(image, share=0.8, place=0.5)


def centre_crop_50(image: Pixels) -> Pixels:
    """Return the middle half of each side, a quarter of the picture."""
    return _crop(image, share=0.5, place=0.5)


def corner_crop_60(image: Pixels) -> Pixels:
    """Return the top left 60 % of each side."""
    return _crop(image, share=0.6, place=0.0)


def flip(image: Pixels) -> Pixels:
    """Return the mirror image, left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1])


def rotation_10(image: Pixels) -> Pixels:
    """Return the picture turned 10 degrees anticlockwise in its frame, the corners black."""
    return _pixels(Image.fromarray(image).rotate(10, Image.Resampling.BICUBIC))


def rotation_90(image: Pixels) -> Pixels:
    """Return the picture turned a quarter anticlockwise: width and height change places."""
    return np.ascontiguousarray(np.rot90(image))


def grey(image: Pixels) -> Pixels:
    """Return the picture without colour, its ITU-R 601 luma in all three channels."""
    return _pixels(Image.fromarray(image).convert("L"))


def brightness_160(image: Pixels) -> Pixels:
    """Return every value times 1.6, cut off at 255."""
    brighter: Pixels = np.minimum(np.rint(image * 1.6), 255).astype(np.uint8)
    return brighter


def blur(image: Pixels) -> Pixels:
    """Return the picture under a Gaussian of radius (sigma) longest side / 100."""
    radius = max(image.shape[:2]) / 100
    return _pixels(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def text_bars(image: Pixels) -> Pixels:
    """Return the picture under three white bars with black text, each a twelfth of its height."""
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
    """Return the picture in the middle of a black one with sides 50 % longer."""
    height, width, _ = image.shape
    padded = np.zeros((height + height // 2, width + width // 2, 3), np.uint8)
    top, left = height // 4, width // 4
    padded[top : top + height, left : left + width] = image
    return padded


def aspect_150(image: Pixels) -> Pixels:
    """Return the picture stretched to 1.5 times its width, its height kept."""
    height, width, _ = image.shape
    size = (max(1, round(width * 1.5)), height)
    return _pixels(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _crop(image: Pixels, *, share: float, place: float) -> Pixels:
    """Return `share` of each side; `place` 0 is the top left, 0.5 the middle."""
    height, width = (max(1, round(side * share)) for side in image.shape[:2])
    top, left = (
        int((side - kept) * place)
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
            centre_crop_80,
            centre_crop_50,
            corner_crop_60,
            flip,
            rotation_10,
            rotation_90,
            grey,
            brightness_160,
            blur,
            text_bars,
            padding_50,
            aspect_150,
        )
    }
)
"""The fourteen by name, in the order of the protocol."""
