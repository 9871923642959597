"""Estimates the cost of decoding an image from its header: pixels, seconds and memory.

Seconds and memory were measured with noise, which costs most, and with flat pictures: Pillow 12.3,
OpenJPEG 2.5, libavif 1.4 with dav1d 1.5, libwebp 1.6, libjpeg-turbo 3.1, one AMD EPYC core
(`python -m tests.soak images`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from PIL.ImageFile import ImageFile

from imgsearch.errors import ImageTooLarge
from imgsearch.images import jpeg, tiff
from imgsearch.images.bounds import jpeg2000
from imgsearch.images.encoded_image import EncodedImage

_PYTHON_CODECS: Final = {"bmp_rle", "ppm"}  # in Pillow 12 and 13: 1 s per million samples
_PYTHON_SHARE: Final = 20  # divides the pixel limit: 2.5 million samples take a few seconds
# components summed over all scans: a progressive file has about 15; an empty scan costs a pass
_FREE_SCANS: Final = 50

_DEFAULT: Final = 50_000_000  # pixels; a higher pixel limit raises the two limits below
_SECONDS: Final = 4.0  # processor time
_MEMORY: Final = 850_000_000  # bytes, including the file; the program itself takes about 80 MB


@dataclass(frozen=True, slots=True)
class _Price:
    """Seconds per million samples and per million file bytes; memory per pixel and per sample.

    A sample is one channel of a pixel. Memory is in bytes and has the file `copies` times.
    """

    sample: float = 0.007
    byte: float = 0.009
    pixel_memory: int = 8
    sample_memory: int = 1
    copies: int = 1


_PRICES: Final = {
    "AVIF": _Price(sample=0.012, byte=0.105, sample_memory=2, copies=2),
    "HEIC": _Price(sample=0.02, byte=0.105, sample_memory=2, copies=2),
    "JPEG": _Price(byte=0.03),
    "JPEG2000": _Price(sample=0.045, byte=0.36, pixel_memory=4, sample_memory=5),
    "WEBP": _Price(sample=0.01, byte=0.043, pixel_memory=12, copies=2),
}
_OTHER: Final = _Price()
# a 16-bit PNG with a transparent color is decoded three times, a deep JPEG 2000 twice
_KEYED: Final = _Price(sample=0.036)
_TWICE: Final = _Price(sample=0.1, byte=0.72, pixel_memory=4, sample_memory=7)
_PNG_DEPTH: Final = 24  # offset of the bit depth in a PNG


def limit(image: ImageFile, encoded: EncodedImage, *, max_pixels: int, at_least: int) -> None:
    """Set the scale of a JPEG or an expensive JPEG 2000; reject an image that costs too much.

    `at_least` and `max_pixels` are the options of `decoder.decode`.

    Raises:
        ImageTooLarge: there are too many pixels, or decoding takes too much time or memory.
    """
    whole = image.size
    if at_least > 0 and _is_jpeg(image):
        jpeg.shrink(image, at_least, max_pixels)
    for prefix, (width, height), most in _areas(image, encoded, whole, max_pixels):
        if width * height > most:
            raise ImageTooLarge(
                f"{prefix}{width:,} x {height:,} pixels, at most {most:,} are decoded"
            )
    halvings = 0
    if at_least > 0 and encoded.kind == "JPEG2000":
        halvings = _halve(image, encoded, at_least, max_pixels)
    if excess := _excess(image, encoded, max_pixels, halvings=halvings):
        raise ImageTooLarge(excess)


def _is_jpeg(image: ImageFile) -> bool:
    return image.format in {"JPEG", "MPO"}


def _areas(
    image: ImageFile, encoded: EncodedImage, whole: tuple[int, int], max_pixels: int
) -> Iterator[tuple[str, tuple[int, int], int]]:
    """Yield (description, size, pixel limit) of each area that is decoded."""
    if image.size == whole:
        yield "", whole, max_pixels
    else:
        held = jpeg.WHOLE_HELD if jpeg.is_held_whole(encoded.data) else jpeg.WHOLE
        yield "", whole, max_pixels * held
        yield "scaled to ", image.size, max_pixels
    tags = getattr(image, "tag_v2", {})
    if tiff.TILE_WIDTH in tags and tiff.TILE_HEIGHT in tags:
        # libtiff decodes a whole tile, even if little of it lies in the image
        yield "tiles of ", (int(tags[tiff.TILE_WIDTH]), int(tags[tiff.TILE_HEIGHT])), max_pixels
    if image.tile and image.tile[0][0] in _PYTHON_CODECS:
        yield "slowly packed, ", whole, max_pixels // (_PYTHON_SHARE * len(image.getbands()))
    scans = jpeg.scans(encoded.data) if _is_jpeg(image) else 0
    if scans > _FREE_SCANS:
        yield f"{scans} scans of ", whole, max_pixels * _FREE_SCANS // scans


def _halve(image: ImageFile, encoded: EncodedImage, at_least: int, max_pixels: int) -> int:
    """Halve the edges of a JPEG 2000 until decoding is cheap enough; return how many times.

    Returns 0 if no number is enough, or if an edge would be shorter than `at_least`.
    """
    for halvings in range(jpeg2000.levels(encoded.data) + 1):
        if min(image.size) >> halvings < at_least:
            return 0
        if not _excess(image, encoded, max_pixels, halvings=halvings):
            image.reduce = halvings  # type: ignore[assignment, method-assign]  # Pillow's for it
            return halvings
    return 0


def _excess(image: ImageFile, encoded: EncodedImage, max_pixels: int, *, halvings: int) -> str:
    """Return why decoding takes too long or too much memory. Returns "" if it does not.

    Each halving of the edges leaves a quarter of the pixels, and about a third of the bytes.
    """
    price, scale = _price(image, encoded), max(1.0, max_pixels / _DEFAULT)
    file_size = len(encoded.data)
    pixels = image.width * image.height / 4**halvings
    samples = pixels * len(image.getbands())
    seconds = (samples * price.sample + file_size / 3**halvings * price.byte) / 1e6
    if seconds > _SECONDS * scale:
        return f"about {seconds:.0f} s to decode, at most {_SECONDS * scale:.0f} are spent"
    memory = pixels * price.pixel_memory + samples * price.sample_memory + file_size * price.copies
    if memory > _MEMORY * scale:
        return f"about {memory / 1e6:,.0f} MB to decode, at most {_MEMORY * scale / 1e6:,.0f}"
    return ""


def _price(image: ImageFile, encoded: EncodedImage) -> _Price:
    is_deep = encoded.kind == "JPEG2000" and jpeg2000.depth(encoded.data) > 8
    if is_deep and len(image.getbands()) > 1:
        return _TWICE
    keyed = encoded.kind == "PNG" and isinstance(image.info.get("transparency"), tuple)
    if keyed and encoded.data[_PNG_DEPTH] == 16:
        return _KEYED
    return _PRICES.get(encoded.kind, _OTHER)
