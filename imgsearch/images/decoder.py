"""Bytes → pixels: the only place that decodes, for indexing and for querying alike.

What Pillow opens is narrowed to `FORMATS`: what cameras, phones, browsers, scanners and scientific
tools write, and what a signature tells apart. Left out are EPS, WMF and PDF (they run other
programs), TGA, PCX and DIB (no signature, so any bytes could pass for pixels), ICO and ICNS (Pillow
decodes them before their size is known), plain-text PNM (quadratic in its comments), and FLI, PSD,
SGI, DDS, FITS, SPIDER and their like (rare, and the usual way into a decoder). HEIC needs a decoder
that Pillow lacks.

Only the first frame is read. ICC profiles are ignored: an embedding model never saw them either.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from imgsearch.errors import FormatRefused, ImageCorrupt, ImageError, ImageTooLarge
from imgsearch.pillow_warnings import no_warnings
from imgsearch.types import Pixels

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")
"""What is decoded, by Pillow's names; MPO counts as JPEG, APNG as PNG, PBM, PGM and PFM as PPM."""

MAX_PIXELS: Final = 50_000_000
"""Pixels of one image: above what phones take in one shot by default, 150 MB once decoded."""

HEAD: Final = 32
"""How many of a file's first bytes `sniff` wants."""

_SIGNATURES: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    # "BM" begins many a text, so the size of the header that follows must be a small one, too
    ("BMP", re.compile(rb"BM.{12}[\x0c-\x80]\0\0\0", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("JPEG2000", re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n")),
    ("PPM", re.compile(rb"P[456f]\s[\s\d#]")),
    # mif1 and msf1 are HEIC's containers as well: AVIF must stand among the compatible brands
    ("AVIF", re.compile(rb".{4}ftyp(?:avi[fs]|m[is]f1.{4,16}avi[fs])", re.DOTALL)),
)

# What Pillow 13 raises on broken bytes, seen on its own test suite's files and by flipping bytes;
# the families they belong to stand for their members. Warning: another thread may put back filters
# that make errors of warnings while this one decodes.
_DECODER_ERRORS: Final = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    BufferError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Warning,
)

_Stage = Literal["header", "decode", "convert"]
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
_TIFF_BITS, _TIFF_TILE = 258, (322, 323)  # BitsPerSample; TileWidth, TileLength
_BLOCK: Final = 1 << 20  # values: 8 MB, and no Python loop worth the name
_SLOW: Final = {
    "bmp_rle",
    "ppm",
}  # codecs that Pillow 13 has in Python: 1 s a megapixel and channel
_SLOWNESS: Final = 20  # so 2.5 megapixels of these, a few seconds
_SCALES: Final = (8, 4, 2)  # those that Pillow asks libjpeg for
_FREE_SCANS: Final = 100  # progressive files have about 10; a few bytes of an 11th cost a full pass


def sniff(head: bytes) -> str | None:
    """Return the format that a file's first `HEAD` bytes announce, None for one not in `FORMATS`.

    Says nothing about whether the rest is sound.
    """
    return next((name for name, pattern in _SIGNATURES if pattern.match(head)), None)


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
    lie in 0..65535. Floats in [0, 1] are scaled by 255 and those in [0, 255] kept. Other ranges are
    stretched from their least to their greatest value; NaN and infinity are black.

    `at_least` is an edge in pixels. Above 0, a JPEG comes at the smallest of an eighth, a quarter
    and a half of its size at which both edges are whole numbers and at least that; where there is
    none, and in other formats, it comes whole. A half takes 19 ms in place of 54: a photograph
    enlarged to 4032 x 3024, 4:2:0, quality 90, with Pillow 13, libjpeg-turbo 3.2, one AMD EPYC
    core, medians of 5.

    `path` is for messages only. Thread-safe, and lets no warning out.

    Raises:
        FormatRefused: the bytes are of no format in `FORMATS`.
        ImageTooLarge: more than `max_pixels`, or than Pillow's own limit of 178,956,970, told
            before any pixel is decoded; it is the whole image that counts. The cap is lower where
            decoding is slow: a twentieth for run-length BMP and PNM with an odd maximum, and shared
            among more than 100 JPEG scans.
        ImageCorrupt: the header or the pixels cannot be read, or were cut short.
    """
    image = picture(data, path=path, max_pixels=max_pixels, at_least=at_least)
    try:
        return np.array(image)
    except MemoryError as error:
        reason = _reason(error)
        raise _failure(ImageCorrupt, "cannot be decoded", path, "convert", reason) from error


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
    kind = sniff(data[:HEAD])
    if kind is None:
        known = f"not one of {', '.join(FORMATS)}" if data else "the file is empty"
        raise _failure(FormatRefused, "format refused", path, "header", known)
    stage: _Stage = "header"
    with no_warnings():
        try:
            image = Image.open(io.BytesIO(data), formats=(kind,))
            _check_cost(image, data, path=path, max_pixels=max_pixels)
            stage = "decode"
            if kind == "JPEG" and at_least > 0:
                _shrink(image, at_least)
            image.load()
            stage = "convert"
            return _upright(_rgb(image), _orientation(image))
        except ImageError:
            raise
        except Image.DecompressionBombError as error:
            reason = "more pixels than Pillow's own limit"
            raise _failure(ImageTooLarge, "too large", path, stage, reason) from error
        except _DECODER_ERRORS as error:
            reason = _reason(error)
            raise _failure(ImageCorrupt, "cannot be decoded", path, stage, reason) from error


def header(data: bytes, *, path: str = "") -> tuple[str, int, int]:
    """Return what an image's header says: format (of `FORMATS`), width and height, turned upright.

    Raises:
        FormatRefused, ImageTooLarge, ImageCorrupt: as `decode` says, but for more pixels than a
            caller's own cap; none is decoded.
    """
    kind = sniff(data[:HEAD])
    if kind is None:
        raise _failure(FormatRefused, "format refused", path, "header", "of no known format")
    with no_warnings():
        try:
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:
                width, height = image.size
                turned = _orientation(image) >= _FIRST_ON_ITS_SIDE
        except Image.DecompressionBombError as error:
            reason = "more pixels than Pillow's own limit"
            raise _failure(ImageTooLarge, "too large", path, "header", reason) from error
        except _DECODER_ERRORS as error:
            reason = _reason(error)
            raise _failure(ImageCorrupt, "cannot be decoded", path, "header", reason) from error
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


def thumbnail(pixels: Pixels, *, side: int) -> bytes:
    """Return a JPEG of the image, shrunk to at most `side` pixels a side, never enlarged."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)  # 80: no visible loss at the size of a page's tile
    return buffer.getvalue()


def _check_cost(image: ImageFile, data: bytes, *, path: str, max_pixels: int) -> None:
    """Refuse an image that would take too much memory or time, by what its header says.

    Raises:
        ImageTooLarge: as `decode` says.
    """
    sizes = [("", image.size, max_pixels)]
    tags = getattr(image, "tag_v2", {})
    if all(tag in tags for tag in _TIFF_TILE):
        # libtiff unpacks a whole tile at once, however small the part of it that shows
        sizes.append(
            ("tiles of ", (int(tags[_TIFF_TILE[0]]), int(tags[_TIFF_TILE[1]])), max_pixels)
        )
    if image.tile and image.tile[0][0] in _SLOW:
        sizes.append(("slowly packed, ", image.size, max_pixels // _SLOWNESS))
    scans = data.count(b"\xff\xda\0") if image.format in {"JPEG", "MPO"} else 0
    if scans > _FREE_SCANS:
        sizes.append((f"{scans} scans of ", image.size, max_pixels * _FREE_SCANS // scans))
    for what, (width, height), limit in sizes:
        if width * height > limit:
            reason = f"{what}{width:,} x {height:,} pixels, at most {limit:,} are decoded"
            raise _failure(ImageTooLarge, "too large", path, "header", reason)


def _shrink(image: ImageFile, at_least: int) -> None:
    """Have a JPEG decoded as small as `at_least` allows."""
    for scale in _SCALES:
        # an edge that does not divide would be rounded up: other proportions, so another crop
        edges = [edge // scale for edge in image.size if edge % scale == 0]
        if len(edges) == 2 and min(edges) >= at_least:
            image.draft(None, (edges[0], edges[1]))
            return


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas = Image.new("RGB", layer.size, "white")
        canvas.paste(layer, mask=layer.getchannel("A"))
        return canvas
    if image.mode == "LAB":  # the one mode that convert() leaves to the colour management
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        if converted is None:
            raise ValueError("no conversion from LAB")
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return deeper grey as 8 bits, (height, width); the rules stand in `decode`."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        # 12-bit TIFF arrives unscaled in 16 bits
        twelve = getattr(image, "tag_v2", {}).get(_TIFF_BITS) == (12,)
        grey: npt.NDArray[np.uint8] = (values >> (4 if twelve else 8)).astype(np.uint8)
        if isinstance(image.info.get("transparency"), int):  # convert() forgets it for these modes
            grey[values == image.info["transparency"]] = 255
        return grey
    low = min(float(block.min()) for block in _blocks(values))
    high = max(float(block.max()) for block in _blocks(values))
    if low >= 0:
        known = (65535.0,) if image.mode == "I" else (1.0, 255.0)
        low, high = next(((0.0, full) for full in known if high <= full), (low, high))
    if image.mode == "I" and (low, high) == (0.0, 65535.0):
        return (values >> 8).astype(np.uint8)
    scale = 255 / ((high - low) or 1.0)
    scaled = [np.rint((block - low) * scale).astype(np.uint8) for block in _blocks(values)]
    return np.concatenate(scaled).reshape(values.shape)


def _blocks(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float64]]:
    """Yield all values in order, NaN and infinity as 0; in blocks, as float64 takes much memory."""
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        with np.errstate(invalid="ignore"):  # a signalling NaN in the file
            wide = flat[start : start + _BLOCK].astype(np.float64)
        yield np.nan_to_num(wide, nan=0, posinf=0, neginf=0)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        # after load(): TIFF turns itself then, and PNG may keep its EXIF behind the pixels
        value = image.getexif().get(_ORIENTATION, 1)
    except _DECODER_ERRORS:
        return 1  # the pixels are sound, and viewers show such a file unturned
    return value if isinstance(value, int) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text is the buffer's address
        return "the header does not parse"
    text = str(error)[:200]
    plain = isinstance(error, (OSError, ValueError, SyntaxError)) and text
    return text if plain else f"{type(error).__name__}: {text}".rstrip(": ")


def _failure(
    error: type[ImageError], what: str, path: str, stage: _Stage, reason: str
) -> ImageError:
    # a file name that is not UTF-8 holds surrogates, which no log or terminal takes
    shown = (path or "image").encode("utf-8", "backslashreplace").decode()
    message = f"{shown}: {what}: {reason} (stage: {stage})"
    return error(message, path=path, stage=stage, reason=reason)
