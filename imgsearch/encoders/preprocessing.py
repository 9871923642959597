"""The preprocessing of images for a model: resize, crop, mean and std."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any, Final, Self

import numpy as np
from PIL import Image

from imgsearch.errors import ConfigError, ImageError
from imgsearch.types import Pixels

CROP_MODES: Final = ("center", "squash", "border")
INTERPOLATIONS: Final[Mapping[str, Image.Resampling]] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
_MAX_EDGE: Final = 4096  # pixels; the largest input of any timm 1.0 model is 1,536
_ENOUGH: Final = 4  # the smallest measured factor with a cosine of 0.999 or more; see `enough`
_EXACT_FLOAT32: Final = 1 << 24  # float32 represents all integers up to this one
_MAX_RESIZED: Final = 16_777_216  # pixels, 50 MB of RGB; larger resized images are not built whole


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Options for converting an image to a model's input, named as in timm's data config.

    `input_size` is the edge of the square input in pixels, `crop_pct` its share of the resized
    edge. `crop_mode` "center" resizes the shorter edge and crops, "squash" resizes both edges to
    the same size, and "border" resizes the longer edge and fills with the mean color. `mean` and
    `std` apply to RGB channels in [0, 1].

    Raises:
        ConfigError: a value is out of its range.
    """

    input_size: int = 224
    crop_pct: float = 0.875
    crop_mode: str = "center"
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if not (type(self.input_size) is int and 1 <= self.input_size <= _MAX_EDGE):
            raise ConfigError(
                f"input_size must be 1 to {_MAX_EDGE} pixels, not {self.input_size!r}"
            )
        crop_pct = _number("crop_pct", self.crop_pct)
        if not 0.01 <= crop_pct <= 2:  # timm's own are in 0.8 to 1
            raise ConfigError(f"crop_pct must be in 0.01 to 2, not {crop_pct!r}")
        if self.crop_mode not in CROP_MODES:
            raise ConfigError(f"crop_mode must be one of {CROP_MODES}, not {self.crop_mode!r}")
        if self.interpolation not in INTERPOLATIONS:
            known = tuple(INTERPOLATIONS)
            raise ConfigError(f"interpolation must be one of {known}, not {self.interpolation!r}")
        std = _triple("std", self.std)
        if min(std) <= 0:
            raise ConfigError(f"std must be above 0, not {self.std!r}")
        object.__setattr__(self, "crop_pct", crop_pct)
        object.__setattr__(self, "mean", _triple("mean", self.mean))
        object.__setattr__(self, "std", std)

    def override(self, options: Mapping[str, Any]) -> Self:
        """Return a copy with the values in `options`.

        `mean` and `std` are three numbers, or one for all channels.

        Raises:
            ConfigError: a value is out of its range.
        """
        return replace(self, **options)

    @property
    def enough(self) -> int:
        """The minimum length of the shorter edge in pixels: `at_least` of `images.decode`.

        It is 4 times the resized edge, so the vector has a cosine of at least 0.999 to the vector
        of the image decoded at full size. Measured with mobilenetv2_100 at 96, 160 and 224 pixels,
        with scaled decoding, on photographs of ImageNet and COCO with a shorter edge of 416 to
        1,944 pixels. Images of 700 pixels or more were also saved again at quality 75, 90 and 95,
        as 4:2:0 and 4:4:4 (Pillow 13, libjpeg-turbo 3.2, torch 2.13, AMD EPYC):

        ======  ===========  =========  =======  =========  =======
        factor  photographs  decodings   least  1st perc.   median
        ======  ===========  =========  =======  =========  =======
        1               167        659  0.93413    0.93912  0.99743
        1.5             167        523  0.93832    0.94001  0.99922
        2               137        435  0.93832    0.94511  0.99962
        3                18        211  0.99852    0.99885  0.99984
        4                12        105  0.99967    0.99967  0.99991
        ======  ===========  =========  =======  =========  =======

        0.9999 is below the model's own noise: changing 16 % of the inputs' values by 1, which
        equals the error of factor 4 (0.4 of 255, RMS), gave a minimum of 0.995 and a median of
        0.9998 over 100 images. For "nearest", which picks single pixels, it is 0: full size.
        """
        return 0 if self.interpolation == "nearest" else _ENOUGH * self._edge

    @property
    def _edge(self) -> int:
        """The resized edge in pixels, before the crop."""
        return math.floor(self.input_size / self.crop_pct)

    def apply(self, image: Pixels | Image.Image) -> Pixels:
        """Return the crop that the model sees, uint8 (input_size, input_size, 3).

        `image` is a result of `images.decode`, or of `images.picture`, which saves two copies. The
        crop equals ``timm.data.create_transform(is_training=False)`` of timm 1.0.31, before its
        tensor step, in every pixel. Pillow's `reducing_gap` is faster, but changes pixels. If the
        resized image would have more than 16,777,216 pixels, as for a strip thinner than 1 to 256,
        only its middle is resized, which may change a value by 1.

        Raises:
            ImageError: the array is not uint8 (height, width, 3), the picture's mode is not
                RGB, or it has no pixels.
        """
        picture = as_picture(image)
        fill = (0, 0, 0)
        if self.crop_mode == "border":
            red, green, blue = (round(255 * value) for value in self.mean)
            fill = (red, green, blue)
        return np.array(self._crop(picture, self._resized(picture.width, picture.height), fill))

    def canonical(self) -> str:
        """Return the fields as text, for a `Fingerprint`."""
        return " ".join(
            f"{field.name}={_text(getattr(self, field.name))}" for field in fields(self)
        )

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) of an image resized before the crop."""
        edge = self._edge
        short, long = min(width, height), max(width, height)
        match self.crop_mode:
            case "squash":
                return edge, edge
            case "border":
                ratio = long / edge
                # timm fails if the short edge of a thin image rounds to 0
                return max(1, round(width / ratio)), max(1, round(height / ratio))
            case _:
                scaled = int(edge * long / short)
                return (edge, scaled) if width <= height else (scaled, edge)

    def _crop(
        self, picture: Image.Image, resized: tuple[int, int], fill: tuple[int, int, int]
    ) -> Image.Image:
        """Return the middle of the resized picture, with `fill` around it if it is too small."""
        size, (width, height) = self.input_size, resized
        left, top = max(0, round((width - size) / 2)), max(0, round((height - size) / 2))
        crop = (left, top, left + min(size, width), top + min(size, height))
        resample = INTERPOLATIONS[self.interpolation]
        part = (0, 0, width, height)
        if width * height > _MAX_RESIZED:
            part = crop
        elif resample != Image.Resampling.NEAREST:  # NEAREST adds up steps from the first pixel
            first, last = _exact_part(picture.width, width, left, crop[2])
            upper, lower = _exact_part(picture.height, height, top, crop[3])
            part = (first, upper, last, lower)
        visible = _resize_part(picture, resized, part, resample)
        visible = visible.crop(
            (left - part[0], top - part[1], crop[2] - part[0], crop[3] - part[1])
        )
        if visible.size == (size, size):
            return visible
        canvas = Image.new("RGB", (size, size), fill)
        canvas.paste(visible, ((size - visible.width) // 2, (size - visible.height) // 2))
        return canvas


OPTIONS: Final = frozenset(field.name for field in fields(Preprocessing))
"""The names of options for `Preprocessing.override`."""


def _exact_part(length: int, resized: int, start: int, stop: int) -> tuple[int, int]:
    """Return the smallest part of a resized edge, from `start` to `stop`, that Pillow cuts exactly.

    Pillow converts the ends of a part to float32 positions in the edge of `length` pixels. Other
    ends would shift the part by about 1e-5 pixels, and change one value in 10,000 by 1.
    """
    if length * resized >= _EXACT_FLOAT32:
        return 0, resized
    step = resized // math.gcd(length, resized)
    step //= (
        step & -step
    )  # its odd factor, whose multiples have positions that float32 holds exactly
    return start - start % step, -(-stop // step) * step


def _resize_part(
    picture: Image.Image,
    resized: tuple[int, int],
    part: tuple[int, int, int, int],
    resample: Image.Resampling,
) -> Image.Image:
    """Return the box `part` of a picture resized to `resized`, without resizing the rest."""
    left, top, right, bottom = part
    x, y = Fraction(picture.width, resized[0]), Fraction(picture.height, resized[1])
    box = (float(left * x), float(top * y), float(right * x), float(bottom * y))
    return picture.resize((right - left, bottom - top), resample, box)


def as_picture(image: Pixels | Image.Image) -> Image.Image:
    """Return a Pillow image of mode RGB with at least one pixel.

    Raises:
        ImageError: the array is not uint8 (height, width, 3), the picture does not have the mode
            RGB, or it has no pixels.
    """
    if isinstance(image, Image.Image):
        valid, description = (
            image.mode == "RGB" and min(image.size) > 0,
            f"{image.mode} {image.size}",
        )
    else:
        valid = image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size > 0
        description = f"{image.dtype} {image.shape}"
    if not valid:
        raise ImageError(
            f"an image must be uint8 (height, width, 3) or an RGB picture, not {description}",
            stage="convert",
            reason="shape or dtype",
        )
    if isinstance(image, Image.Image):
        return image
    return Image.fromarray(np.ascontiguousarray(image))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, not {value!r}")
    return float(value)


def _triple(name: str, value: object) -> tuple[float, float, float]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        number = _number(name, value)
        return number, number, number
    if len(value) != 3:
        raise ConfigError(f"{name} must be one number or three, not {value!r}")
    red, green, blue = (_number(name, item) for item in value)
    return red, green, blue


def _text(value: object) -> str:
    # repr is the shortest text that parses to the same float
    return ",".join(map(repr, value)) if isinstance(value, tuple) else str(value)
