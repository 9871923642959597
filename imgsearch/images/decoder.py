"""Decodes images to pixels, headers and thumbnails. No other module decodes.

Indexing and searching share this module. Only the first frame is read. ICC profiles are ignored,
because embedding models are trained without them.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile

from imgsearch.distribution import install_hint, is_installed
from imgsearch.errors import ConfigError, FormatRefused, ImageError
from imgsearch.images import bounds, canvas, costs, jpeg2000, libtiff, opencv, raw
from imgsearch.images.bounds import limits
from imgsearch.images.decoder_errors import DECODER_ERRORS, Decoding, image_errors
from imgsearch.images.encoded_image import EncodedImage
from imgsearch.images.formats import HEAD, refusal, sniff
from imgsearch.images.pillow_warnings import no_warnings
from imgsearch.images.rgb import to_rgb
from imgsearch.types import Pixels

MAX_PIXELS: Final = 50_000_000
"""The default limit for the decoded pixels of one image: 150 MB in RGB."""

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
_TURNED: Final[dict[int, Callable[[Pixels], Pixels]]] = {  # the same of arrays
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
# in these formats, Pillow holds 200 to 600 MB in addition to the pixels, at 49 megapixels
_HOLDING: Final = {"PNG", "WEBP", "AVIF"}


def decode(
    data: bytes | bytearray | memoryview,
    *,
    path: str = "",
    max_pixels: int = MAX_PIXELS,
    at_least: int = 0,
    mode: Literal["RGB", "BGR"] = "RGB",
) -> Pixels:
    """Decode the bytes of an image file to pixels: uint8, (height, width, 3), C-contiguous.

    - Orientation: EXIF orientation is applied.
    - Transparency: transparent pixels are blended with white. So is the part of the canvas that the
      first frame of an animation does not cover.
    - Color: CMYK, palette and 1-bit images are converted to RGB.
    - Depth: 16-bit gray and 48-bit color keep the upper 8 bits. 32-bit integers do the same
      if all values lie in 0..65535. Floats in [0, 1] are multiplied by 255, floats in [0, 255] are
      kept. Other ranges, and signed bytes, are stretched from their minimum to their maximum.
      NaN and infinity become black.
    - Several images: the first frame of an animation, the default image of an APNG, and the largest
      preview of a camera's raw file are decoded.

    Args:
        data: the encoded image.
        path: the file's name, for error messages only.
        max_pixels: the maximum number of decoded pixels.
        at_least: the minimum length of the shorter edge in pixels; 0 decodes at full size. A JPEG
            is decoded at 1/8, 1/4 or 1/2: the smallest scale that divides both edges and keeps this
            length. If no scale fits, and in other formats, the image is decoded at full size. The
            edges of a JPEG of more than `max_pixels` may be rounded. The edges of a JPEG 2000 that
            would take too long are halved. At 1/2, decoding takes 19 ms instead of 54 (a photograph
            enlarged to 4032 x 3024, 4:2:0, quality 90; Pillow 13, libjpeg-turbo 3.2, one AMD EPYC
            core, medians of 5).
        mode: the order of the channels.

    Thread-safe. Pillow's warnings are suppressed. Where OpenCV is installed, it decodes baseline
    JPEG and 8-bit PNG to the same pixels; see `opencv`.

    Raises:
        FormatRefused: the format is not in `FORMATS`, or it is HEIC and the extra `heic` is not
            installed, or it is a camera's raw file without a large preview.
        ImageTooLarge: decoding exceeds a limit, according to the header. No pixel is decoded.
            - More than `max_pixels`. For a scaled JPEG, this limits the scaled size. Its full size
              is limited to 8 times `max_pixels`, or 2 times if libjpeg holds the whole image in
              memory (progressive files).
            - More samples than a twentieth of `max_pixels`, in formats that Pillow decodes in
              Python: run-length BMP, and PNM whose maximum is not 255 (or 65535 in gray).
            - JPEG with more than 50 component scans: `max_pixels` is multiplied by 50 / scans.
            - More than about 4 s or 850 MB, mostly for large JPEG 2000, AVIF and WebP. A
              `max_pixels` above the default raises both limits in proportion.
        ImageCorrupt: the header or the pixels are invalid or truncated.
    """
    data = bytes(data)  # bytes are not copied
    with no_warnings(), libtiff.quiet(), image_errors(path) as decoding:
        encoded, image, whole = _opened(data, max_pixels, at_least)
        decoding.stage = "decode"
        stored = opencv.pixels(image, encoded, mode=mode) if image.size == whole else None
        decoding.stage = "convert"
        if stored is not None:
            orientation = encoded.orientation or _orientation(image, loaded=False)
            return np.ascontiguousarray(_TURNED.get(orientation, np.asarray)(stored))
        decoding.stage = "decode"
        pixels = np.array(_loaded(image, encoded, decoding))
        return pixels if mode == "RGB" else np.ascontiguousarray(pixels[..., ::-1])


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
        encoded, image, _ = _opened(data, max_pixels, at_least)
        decoding.stage = "decode"
        return _loaded(image, encoded, decoding)


def from_pillow(image: Image.Image, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Return the pixels of an open Pillow image, by the rules of `decode` for color and direction.

    Raises:
        ImageTooLarge: it has more than `max_pixels` pixels.
        ImageError: Pillow cannot load it.
    """
    with no_warnings(), image_errors("") as decoding:
        limits.check_size(image.width, image.height, max_pixels)
        decoding.stage = "decode"
        image.load()
        decoding.stage = "convert"
        return np.asarray(_upright(to_rgb(image), _orientation(image)))


def header(
    data: bytes, *, path: str = "", max_pixels: int = MAX_PIXELS, at_least: int = 1
) -> tuple[str, int, int]:
    """Return format, width and height of an image, after EXIF orientation; no pixel is decoded.

    The format is one of `FORMATS`, or "HEIC". The options are as in `decode`. With the
    default `at_least`, a JPEG is rejected only if it is too large at every scale.

    Raises:
        FormatRefused, ImageTooLarge, ImageCorrupt: under the conditions of `decode`.
    """
    with opened_header(data, path=path, max_pixels=max_pixels, at_least=at_least) as (_, facts):
        return facts


@contextmanager
def opened_header(
    data: bytes, *, path: str = "", max_pixels: int = MAX_PIXELS, at_least: int = 1
) -> Iterator[tuple[ImageFile, tuple[str, int, int]]]:
    """Return a context manager that yields a Pillow image without pixels, and what `header` does.

    Raises: as for `header`.
    """
    with no_warnings(), image_errors(path):
        encoded = _encoded_image(data, max_pixels)
        brief = replace(encoded, data=bounds.head(encoded.kind, encoded.data))
        with brief.open() as image:
            left, top, right, bottom = canvas.cut(image, encoded) or (0, 0, *image.size)
            width, height = right - left, bottom - top
            # Pillow returns the upright size of a TIFF
            own = 1 if encoded.kind == "TIFF" else _orientation(image, loaded=False)
            on_its_side = (encoded.orientation or own) >= _FIRST_ON_ITS_SIDE
            costs.limit(image, encoded, max_pixels=max_pixels, at_least=at_least)
            kind = sniff(data[:HEAD]) or encoded.kind  # the file's format, not its preview's
            yield image, (kind, height, width) if on_its_side else (kind, width, height)


def checked(pixels: npt.NDArray[Any]) -> Pixels:
    """Return `pixels` unchanged if it is an image: uint8, (height, width, 3), not empty.

    Raises:
        ImageError: the dtype or the shape is wrong, or the array is empty.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2:] == (3,) and pixels.size:
        return pixels
    given = f"{pixels.dtype} {pixels.shape}"
    raise ImageError(
        f"pixels are uint8 (height, width, 3), RGB, not {given}", stage="convert", reason=given
    )


def checked_limit(max_pixels: object) -> int:
    """Return `max_pixels` unchanged if it is a valid limit for decoded pixels.

    Raises:
        ConfigError: `max_pixels` is not a positive integer.
    """
    if type(max_pixels) is not int or max_pixels < 1:  # rejects True as well
        raise ConfigError(
            f"max_pixels must be a whole number of pixels above 0, not {max_pixels!r}. Try "
            "200_000_000"
        )
    return max_pixels


def small(data: bytes, *, side: int, path: str = "", max_pixels: int = MAX_PIXELS) -> bytes:
    """Decode the bytes of an image file, and return a JPEG thumbnail as in `thumbnail`.

    A JPEG is decoded at a reduced scale.

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


def _opened(
    data: bytes, max_pixels: int, at_least: int
) -> tuple[EncodedImage, ImageFile, tuple[int, int]]:
    """Return an image within all limits, opened without pixels, and its size before scaling."""
    encoded = _encoded_image(data, max_pixels)
    image = encoded.open()
    whole = image.size
    costs.limit(image, encoded, max_pixels=max_pixels, at_least=at_least)
    return encoded, image, whole


def _loaded(image: ImageFile, encoded: EncodedImage, decoding: Decoding) -> Image.Image:
    """Return the pixels of an opened image, upright and in mode RGB."""
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


def _encoded_image(data: bytes, max_pixels: int) -> EncodedImage:
    """Return the image of a file to decode, after checking the limits of its file format.

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
    """Free the file, the decoder and the canvases that a loaded image holds."""
    for name in ("fp", "_fp", "_decoder", "dispose"):
        if name in image.__dict__:
            setattr(image, name, None)


def _orientation(image: Image.Image, *, loaded: bool = True) -> int:
    """Return the EXIF orientation, 1 if it is missing or invalid."""
    try:
        # Before load() the method of the base class is called: a PNG's own getexif() decodes the
        # pixels, because EXIF may follow them. load() itself turns a TIFF upright.
        exif = image.getexif() if loaded else Image.Image.getexif(image)
        value = exif.get(_ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1  # the pixels are valid, and viewers show such a file without rotation
    return value if isinstance(value, int) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)
