"""Bytes → pixels: the only place that decodes, for indexing and for querying alike.

Only the first frame is read. ICC profiles are ignored: an embedding model never saw them either.
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
from imgsearch.images.samples import rgb
from imgsearch.pillow_warnings import no_warnings
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
_HOLDING: Final = {"PNG", "WEBP", "AVIF"}  # Pillow's images of these hold 200 to 600 MB more


def decode(
    data: bytes | bytearray | memoryview,
    *,
    path: str = "",
    max_pixels: int = MAX_PIXELS,
    at_least: int = 0,
) -> Pixels:
    """Return the pixels of an image file's bytes: uint8, (height, width, 3), RGB, C-contiguous.

    EXIF orientation is applied. Alpha lies on white. CMYK, palettes and one bit become RGB. Grey of
    16 bits keeps its upper 8, as Pillow does with 48-bit colour; 32-bit integers likewise where all
    lie in 0..65535. Floats in [0, 1] are scaled by 255 and those in [0, 255] kept. Other ranges,
    and signed bytes, are stretched from their least to their greatest value; NaN and infinity are
    black. Of a camera's raw file the largest preview is decoded, of an animation the first frame,
    on white where it does not cover the canvas, of an APNG its default image.

    `at_least` is an edge in pixels. Above 0, a JPEG comes at the smallest of an eighth, a quarter
    and a half of its size at which both edges are whole numbers and at least that; where there is
    none, and in other formats, it comes whole. A half takes 19 ms in place of 54: a photograph
    enlarged to 4032 x 3024, 4:2:0, quality 90, with Pillow 13, libjpeg-turbo 3.2, one AMD EPYC
    core, medians of 5. A JPEG of more than `max_pixels` may also come with rounded edges.

    `path` is for messages only. Thread-safe, and lets no warning out.

    Raises:
        FormatRefused: the bytes are of no format in `FORMATS`, or of HEIC without the extra `heic`,
            or a raw file without a large preview.
        ImageTooLarge: more than `max_pixels` would be decoded. The header decides, before any pixel
            is decoded. A scaled JPEG counts by its pixels after scaling, within 8 times as many
            before, or 2 times where libjpeg has to hold them all (progressive files). The cap is
            lower where decoding is slow: a twentieth of the values for run-length BMP and PNM with
            an odd maximum, and shared among more than 50 JPEG scans of a component. What would
            take more than about 4 s or 850 MB is refused as well, mostly large JPEG 2000, AVIF
            and WebP; with `at_least` a JPEG 2000 may then come with halved edges.
        ImageCorrupt: the header or the pixels cannot be read, or were cut short.
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
    """Return what `decode` returns, by its rules and errors, as a Pillow image of mode RGB.

    For what goes on in Pillow: an array made of it and back again costs 0.3 ms at 500 x 375.
    """
    data = bytes(data)  # no copy where it is bytes already
    with no_warnings(), libtiff.quiet(), image_errors(path) as decoding:
        encoded = _encoded_image(data, max_pixels)
        image = encoded.open()
        costs.limit(image, encoded, max_pixels=max_pixels, at_least=at_least)
        decoding.stage = "decode"
        transparent = canvas.uncovered(image, encoded)
        announced = image.size
        image.load()
        if encoded.kind == "HEIC" and image.size != announced:
            raise ValueError("the picture has another size than its header says")
        decoding.stage = "convert"
        orientation = encoded.orientation or _orientation(image)
        box = canvas.cut(image, encoded)
        if encoded.kind in _HOLDING:
            _release(image)
        loaded = jpeg2000.in_eight_bits(image, encoded) if encoded.kind == "JPEG2000" else image
        pixels = rgb(loaded)
        if transparent is not None:
            pixels.paste("white", mask=transparent)
        pixels = pixels if box is None else pixels.crop(box)
        return _upright(pixels, orientation)


def header(
    data: bytes, *, path: str = "", max_pixels: int = MAX_PIXELS, at_least: int = 1
) -> tuple[str, int, int]:
    """Return what an image's header says: format (of `FORMATS`), width and height, turned upright.

    Raises:
        FormatRefused, ImageTooLarge, ImageCorrupt: as `decode` says; no pixel is decoded. By
            default a JPEG is too large only where it is at every scale.
    """
    with no_warnings(), image_errors(path):
        encoded = _encoded_image(data, max_pixels)
        brief = replace(encoded, data=bounds.head(encoded.kind, encoded.data))
        with brief.open() as image:
            left, top, right, bottom = canvas.cut(image, encoded) or (0, 0, *image.size)
            width, height = right - left, bottom - top
            # TIFF announces its upright size
            own = 1 if encoded.kind == "TIFF" else _orientation(image, loaded=False)
            turned = (encoded.orientation or own) >= _FIRST_ON_ITS_SIDE
            costs.limit(image, encoded, max_pixels=max_pixels, at_least=at_least)
    kind = sniff(data[:HEAD]) or encoded.kind  # of the file, whatever its preview is
    return (kind, height, width) if turned else (kind, width, height)


def checked(pixels: npt.NDArray[Any]) -> Pixels:
    """Return an array that is pixels.

    Raises:
        ImageError: it is not uint8 (height, width, 3), or empty.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2:] == (3,) and pixels.size:
        return pixels
    told = f"{pixels.dtype} {pixels.shape}"
    raise ImageError(
        f"pixels are uint8 (height, width, 3), RGB, not {told}", stage="convert", reason=told
    )


def checked_limit(max_pixels: object) -> int:
    """Return a limit of decoded pixels.

    Raises:
        ConfigError: it is no whole number above 0.
    """
    if type(max_pixels) is not int or max_pixels < 1:  # a bool is no number of pixels
        raise ConfigError(
            f"max_pixels must be a whole number of pixels above 0, not {max_pixels!r}. Give for "
            "example 200_000_000"
        )
    return max_pixels


def small(data: bytes, *, side: int, path: str = "", max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a thumbnail of an image file's bytes, as `thumbnail` does; a JPEG is read at a scale.

    Raises:
        FormatRefused, ImageTooLarge, ImageCorrupt: as `decode` says.
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
    """Return what is decoded of a file, once its container is known to be harmless.

    Raises:
        FormatRefused, ImageTooLarge, ImageCorrupt: as `decode` says.
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
    """Drop what a loaded image holds beside its pixels: its file, canvases, and packed copies."""
    for name in ("fp", "_fp", "_decoder", "dispose"):
        if name in image.__dict__:
            setattr(image, name, None)


def _orientation(image: Image.Image, *, loaded: bool = True) -> int:
    """Return the EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        # after load(): TIFF turns itself then, and PNG may keep its EXIF behind the pixels, which
        # its own getexif() decodes
        exif = image.getexif() if loaded else Image.Image.getexif(image)
        value = exif.get(_ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1  # the pixels are sound, and viewers show such a file unturned
    return value if isinstance(value, int) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)
