"""Python objects as images and vectors: Pillow images, arrays, tensors and lists of numbers."""

from numbers import Real
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.errors import ConfigError
from imgsearch.images.decoder import from_pillow
from imgsearch.types import Pixels

_NUMBERS: Final = "fiub"
_GRAY, _COLOR = 2, 3  # dimensions


def as_array(value: object) -> npt.NDArray[Any] | None:
    """Return the array of an array, a tensor or a list of numbers; None for another object.

    Raises:
        ConfigError: a tensor is on a device, or the array holds no numbers.
    """
    if not isinstance(value, np.ndarray):
        if isinstance(value, list | tuple):
            if not (value and all(isinstance(number, Real) for number in value)):
                return None
        elif not hasattr(value, "__array__") or isinstance(value, Image.Image):
            return None
        try:
            value = np.asarray(value)
        except (TypeError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"cannot read the {type(value).__name__} as an array: {error}"
            ) from error
    if value.dtype.kind not in _NUMBERS:
        raise ConfigError(f"the array holds {value.dtype}, not numbers.")
    return value


def as_vector(array: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Return an array (d,), or floats (1, d), as a vector (d,); None if it is an image."""
    if array.ndim == 1:
        return array
    if array.ndim == _GRAY and len(array) == 1 and array.dtype.kind == "f":
        return cast("npt.NDArray[Any]", array[0])
    return None


def as_pixels(value: Any) -> Pixels:
    """Return an image as pixels, uint8 (height, width, 3), RGB.

    `value` is an image of Pillow, which is turned upright, or an array: uint8, or floats in [0, 1],
    of shape (height, width), (height, width, 1), 3 or 4 channels. Transparent pixels become white.

    Raises:
        ConfigError: the array has another shape or dtype, or floats are outside [0, 1].
        ImageError: Pillow cannot load the image, or it is too large.
    """
    if isinstance(value, Image.Image):
        return from_pillow(value)
    array = as_array(value)
    if array is None:
        raise ConfigError(
            f"a {type(value).__name__} is not an image. Give pixels or a Pillow image."
        )
    if array.dtype.kind == "f":
        if not (array.size and np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise ConfigError("float pixels must be in [0, 1]. Divide them by 255, or give uint8.")
        array = np.round(array * 255).astype(np.uint8)
    if array.ndim == _GRAY:
        array = array[:, :, None]
    if array.dtype != np.uint8 or array.ndim != _COLOR or array.shape[2] not in (1, 3, 4):
        raise ConfigError(
            f"pixels are uint8 or floats (height, width, 3), RGB, not {array.dtype} {array.shape}."
        )
    if array.shape[2] == 4:
        return from_pillow(Image.fromarray(array))
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
