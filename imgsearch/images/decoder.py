"""Pixels, headers and thumbnails of encoded images: the only place that decodes.

Indexing and searching share it. Only the first frame is read. ICC profiles are ignored, because
embedding models are trained without them.
"""

import io
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile

from imgsearch.distribution import install_hint, is_installed
from imgsearch.errors import ConfigError, FormatRefused, ImageError
from imgsearch.images import bounds, canvas, costs, jpeg2000, libtiff, raw
from imgsearch.images.decoder_errors import DECODER_ERRORS, image_errors
from imgsearch.images.encoded_image import EncodedImage
from imgsearch.images.formats import HEAD, refusal, sniff
from imgsearch.images.pillow_warnings import no_warnings
from imgsearch.images.rgb import to_rgb
from imgsearch.types import Pixels

MAX_PIXELS: Final = 50_000_000
"""Decoded pixels of one image, by default: 150 MB in RGB."""

_ORIENTATION: Final = 0x0112  # EXIF tag; https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf
_FIRST_ON_ITS_SIDE: Final = 5  # orientations 5 to 8 swap the edges
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow's images of these formats hold 200 to 600 MB beside the pixels, at 49 megapixels
_HOLDING: Final = {"PNG", "WEBP", "AVIF"}


def decode(
    data: bytes | bytearray | memoryview,
    *,
    path: str = "",
    max_pixels: int = MAX_PIXELS,
    at_least: int = 0,
) -> Pixels:
    """Return the pixels of an image file's bytes: uint8, (height, width, 3), RGB, C-contiguous.

    - Orientation: EXIF orientation is applied.
    - Transparency: transparent pixels are blended with white. So is the part of the canvas that the
      first frame of an animation does not cover.
    - Color: CMYK, palettes and one bit are converted to RGB.
    - Depth: 16-bit gray and 48-bit color keep the upper 8 bits. 32-bit integers do the same
      if all values lie in 0..65535. Floats in [0, 1] are multiplied by 255, floats in [0, 255] are
      kept. Other ranges, and signed bytes, are stretched from their least to their greatest value.
      NaN and infinity become black.
    - Several images: an animation gives its first frame, an APNG its default image, a camera's raw
      file its largest preview.

    Args:
        data: the encoded image.
        path: the file's name, for error messages only.
        max_pixels: the most pixels that are decoded.
        at_least: the least edge in pixels that the caller needs; 0 asks for the whole image. A JPEG
            is decoded at an eighth, a quarter or a half: the smallest whose edges are whole numbers
            of at least this size. If no scale fits, and in other formats, the image is decoded
            whole. A JPEG of more than `max_pixels` may get rounded edges, a JPEG 2000 that would
            take too long halved ones. A half takes 19 ms instead of 54 (a photograph enlarged to
            4032 x 3024, 4:2:0, quality 90; Pillow 13, libjpeg-turbo 3.2, one AMD EPYC core, medians
            of 5).

    Thread-safe. Pillow's warnings are suppressed.

    Raises:
        FormatRefused: the format is not in `FORMATS`, or it is HEIC and the extra `heic` is not
            installed, or the file is raw without a large preview.
        ImageTooLarge: the header announces more work than allowed. No pixel is decoded.
            - More than `max_pixels`. A scaled JPEG counts by its scaled pixels; the whole may have
              8 times as many, or 2 times if libjpeg has to hold them all (progressive files).
            - A twentieth of `max_pixels` in samples for run-length BMP, and for PNM whose maximum
              is not 255 (in gray, not 65535), because Pillow decodes both in Python.
            - More than 50 JPEG scans of a component share `max_pixels`.
            - About 4 s or 850 MB, mostly for large JPEG 2000, AVIF and WebP.
        ImageCorrupt: the header or the pixels are invalid or cut short.
    """
    image = picture(data, path=path, max_pixels=max_pixels, at_least=at_least)
    with image_errors(path, "convert"):
        return np.array(image)


def picture(
    data: bytes | bytearray | memoryview,
    *,
    path: str = "",
    max_pixels: int = MAX_PIXELS,
    at_least: int = 0,
) -> Image.Image:
    """Return the pixels as a Pillow image of mode RGB; the rules and errors of `decode` apply.

    Callers that continue with Pillow save two conversions: 0.3 ms at 500 x 375.
    """
    data = bytes(data)  # bytes are not copied
    with no_warnings(), libtiff.quiet(), image_errors(path) as decoding:
        encoded = _encoded_image(data, max_pixels)
        image = encoded.open()
        costs.limit(image, encoded, max_pixels=max_pixels, at_least=at_least)
        decoding.stage = "decode"
        transparent = canvas.uncovered(image, encoded)
        announced = image.size
        image.load()
        if encoded.kind == "HEIC" and image.size != announced:
            raise ValueError("the image has another size than its header announces")
        decoding.stage = "convert"
        orientation = encoded.orientation or _orientation(image)
        box = canvas.cut(image, encoded)
        if encoded.kind in _HOLDING:
            _release(image)
        loaded = jpeg2000.in_eight_bits(image, encoded) if encoded.kind == "JPEG2000" else image
        pixels = to_rgb(loaded)
        if transparent is not None:
            pixels.paste("white", mask=transparent)
        pixels = pixels if box is None else pixels.crop(box)
        return _upright(pixels, orientation)


def header(
    data: bytes, *, path: str = "", max_pixels: int = MAX_PIXELS, at_least: int = 1
) -> tuple[str, int, int]:
    """Return format, width and height of an image, after EXIF orientation; no pixel is decoded.

    The format is one of `FORMATS`, or "HEIC". The options are as in `decode`. The default of
    `at_least` rejects a JPEG only if it is too large at every scale.

    Raises:
        FormatRefused, ImageTooLarge, ImageCorrupt: under the conditions of `decode`.
    """
    with no_warnings(), image_errors(path):
        encoded = _encoded_image(data, max_pixels)
        brief = replace(encoded, data=bounds.head(encoded.kind, encoded.data))
        with brief.open() as image:
            left, top, right, bottom = canvas.cut(image, encoded) or (0, 0, *image.size)
            width, height = right - left, bottom - top
            # Pillow gives the upright size of a TIFF
            own = 1 if encoded.kind == "TIFF" else _orientation(image, loaded=False)
            on_its_side = (encoded.orientation or own) >= _FIRST_ON_ITS_SIDE
            costs.limit(image, encoded, max_pixels=max_pixels, at_least=at_least)
    kind = sniff(data[:HEAD]) or encoded.kind  # of the file, not of its preview
    return (kind, height, width) if on_its_side else (kind, width, height)


def checked(pixels: npt.NDArray[Any]) -> Pixels:
    """Return the array if it holds pixels: uint8, (height, width, 3), not empty.

    Raises:
        ImageError: it does not.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2:] == (3,) and pixels.size:
        return pixels
    given = f"{pixels.dtype} {pixels.shape}"
    raise ImageError(
        f"pixels are uint8 (height, width, 3), RGB, not {given}", stage="convert", reason=given
    )


def checked_limit(max_pixels: object) -> int:
    """Return the limit of decoded pixels if it is valid.

    Raises:
        ConfigError: it is not a whole number above 0.
    """
    if type(max_pixels) is not int or max_pixels < 1:  # rejects True as well
        raise ConfigError(
            f"max_pixels must be a whole number of pixels above 0, not {max_pixels!r}. Try "
            "200_000_000"
        )
    return max_pixels


def small(data: bytes, *, side: int, path: str = "", max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a JPEG thumbnail of an image file's bytes; a JPEG is decoded at a scale.

    Raises:
        FormatRefused, ImageTooLarge, ImageCorrupt: under the conditions of `decode`.
    """
    return thumbnail(decode(data, path=path, max_pixels=max_pixels, at_least=side), side=side)


def thumbnail(pixels: Pixels, *, side: int) -> bytes:
    """Return a JPEG of the image, shrunk to at most `side` pixels a side, never enlarged."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)  # 80: no visible loss at the size of a page's tile
    return buffer.getvalue()


def _encoded_image(data: bytes, max_pixels: int) -> EncodedImage:
    """Return the image of a file that is decoded, after the bounds of its container were checked.

    Raises:
        FormatRefused, ImageTooLarge, ImageCorrupt: under the conditions of `decode`.
    """
    kind = sniff(data[:HEAD])
    if kind is None:
        raise FormatRefused(refusal(data[:HEAD]))
    if kind == "HEIC" and not is_installed("pillow_heif"):
        raise FormatRefused(f"HEIC needs the extra heic. Run {install_hint('heic')}")
    bounds.check(kind, data, max_pixels=max_pixels)
    if kind != "TIFF":
        return EncodedImage(kind, data)
    encoded = raw.main_image(data)
    if encoded.data is not data:  # a preview
        bounds.check(encoded.kind, encoded.data, max_pixels=max_pixels)
    return encoded


def _release(image: ImageFile) -> None:
    """Free the file, the canvases and the packed copies that a loaded image holds."""
    for name in ("fp", "_fp", "_decoder", "dispose"):
        if name in image.__dict__:
            setattr(image, name, None)


def _orientation(image: Image.Image, *, loaded: bool = True) -> int:
    """Return the EXIF orientation, 1 if it is missing or invalid."""
    try:
        # Before load() the method of the base class is called: a PNG's own getexif() decodes the
        # pixels, because EXIF may lie behind them. load() itself turns a TIFF upright.
        exif = image.getexif() if loaded else Image.Image.getexif(image)
        value = exif.get(_ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1  # the pixels are valid, and viewers show such a file without rotation
    return value if isinstance(value, int) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)
