"""What decoding takes beside a pixel limit: seconds and memory, by format, pixels and bytes.

Measured with noise, which costs most, and with flat pictures: Pillow 12.3, OpenJPEG 2.5, libavif
1.4 with dav1d 1.5, libwebp 1.6, libjpeg-turbo 3.1, one AMD EPYC core (`python -m tests.soak
images`).
"""

from dataclasses import dataclass
from typing import Final

from PIL.ImageFile import ImageFile

from imgsearch.images.bounds import jpeg2000

_DEFAULT: Final = 50_000_000  # pixels: a higher limit of pixels raises the other limits with it
_SECONDS: Final = 4.0  # of processor time
_MEMORY: Final = 850_000_000  # bytes, the file's own included; the program takes some 80 MB


@dataclass(frozen=True, slots=True)
class _Price:
    """Seconds of a million samples and of a million bytes; bytes of a pixel and of a sample.

    A sample is one channel of a pixel. `copies` of the file are held.
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
_KEYED: Final = _Price(sample=0.036)  # PNG of 16 bits with a transparent colour: decoded thrice
_TWICE: Final = _Price(sample=0.1, byte=0.72, pixel_memory=4, sample_memory=7)  # as JPEG 2000 is
_DEPTH: Final = 24  # where a PNG says its bits


def excess(kind: str, image: ImageFile, data: bytes, max_pixels: int, *, halvings: int = 0) -> str:
    """Return why a file takes too many seconds or too much memory, an empty text where it does not.

    `halvings` of the edges leave a quarter of the pixels each, and about a third of the bytes.
    """
    price, scale = _price(kind, image, data), max(1.0, max_pixels / _DEFAULT)
    pixels = image.width * image.height / 4**halvings
    samples, size = pixels * len(image.getbands()), len(data) / 3**halvings
    seconds = (samples * price.sample + size * price.byte) / 1e6
    if seconds > _SECONDS * scale:
        return f"about {seconds:.0f} s to decode, at most {_SECONDS * scale:.0f} are spent"
    memory = pixels * price.pixel_memory + samples * price.sample_memory + len(data) * price.copies
    if memory > _MEMORY * scale:
        return f"about {memory / 1e6:,.0f} MB to decode, at most {_MEMORY * scale / 1e6:,.0f}"
    return ""


def _price(kind: str, image: ImageFile, data: bytes) -> _Price:
    if kind == "JPEG2000" and jpeg2000.depth(data) > 8 and len(image.getbands()) > 1:
        return _TWICE
    keyed = kind == "PNG" and isinstance(image.info.get("transparency"), tuple)
    return _KEYED if keyed and data[_DEPTH] == 16 else _PRICES.get(kind, _OTHER)


def reduce(image: ImageFile, data: bytes, at_least: int, max_pixels: int) -> int:
    """Have a JPEG 2000 that costs too much decoded at a half, a quarter … of its edges.

    Returns how often they are halved: as seldom as possible; 0 where no halving is enough, or where
    an edge would be shorter than `at_least`.
    """
    for halvings in range(jpeg2000.levels(data) + 1):
        if min(image.size) >> halvings < at_least:
            return 0
        if not excess("JPEG2000", image, data, max_pixels, halvings=halvings):
            image.reduce = halvings  # type: ignore[assignment, method-assign]  # Pillow's for it
            return halvings
    return 0
