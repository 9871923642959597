"""The supported image formats and their signatures.

`FORMATS` is a subset of the formats that Pillow opens. Cameras, phones, browsers, scanners and
scientific tools write these formats, and each has a signature. Other formats are left out:

- EPS, WMF and PDF run other programs.
- TGA, PCX and DIB have no signature, so any bytes could pass for pixels.
- ICO and ICNS are decoded by Pillow before their size is known.
- Plain-text PNM takes quadratic time for comments.
- FLI, PSD, SGI, DDS, FITS, SPIDER and the like are rare, and attacks on decoders often use them.

HEIC needs the extra `heic` (pillow-heif), because Pillow has no decoder for it.
"""

import re
from typing import Final

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")
"""The formats that are supported without an extra, with Pillow's names.

MPO counts as JPEG; APNG as PNG; PBM, PGM and PFM as PPM.
"""

HEAD: Final = 32
"""The number of bytes from the start of a file that `sniff` needs."""

# mif1 and msf1 are brands of both HEIC and AVIF, so the compatible brands decide
_HEIC: Final = rb"hei[cxms]|hev[cxms]"
_SIGNATURES: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    # a text may also begin with "BM", so the header size that follows must be plausible
    ("BMP", re.compile(rb"BM.{12}[\x0c-\x80]\0\0\0", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("JPEG2000", re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n")),
    ("PPM", re.compile(rb"P[456f]\s[\s\d#]")),
    ("AVIF", re.compile(rb".{4}ftyp(?:avi[fs]|m[is]f1.{4,16}avi[fs])", re.DOTALL)),
    ("HEIC", re.compile(rb".{4}ftyp(?:" + _HEIC + rb"|m[is]f1)", re.DOTALL)),
)

# signatures of raw files that are not TIFF
_RAW: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = (
    ("Canon CR3", re.compile(rb".{4}ftypcrx ", re.DOTALL)),
    ("Canon CRW", re.compile(rb"II.{4}HEAPCCDR", re.DOTALL)),
    ("Fujifilm RAF", re.compile(rb"FUJIFILMCCD-RAW")),
    ("Minolta MRW", re.compile(rb"\0MRM")),
    ("Olympus ORF", re.compile(rb"IIR[OS]|MMOR")),
    ("Panasonic RW2", re.compile(rb"IIU\0")),
    ("Sigma X3F", re.compile(rb"FOVb")),
)


def sniff(head: bytes) -> str | None:
    """Detect a file's format from its first `HEAD` bytes: one of `FORMATS`, or "HEIC".

    Returns None for other formats. The rest of the file may still be invalid.
    """
    return _first(_SIGNATURES, head)


def refusal(head: bytes) -> str:
    """Return the reason for rejecting a file whose format `sniff` does not recognize."""
    if raw := _first(_RAW, head):
        return f"a camera's raw file ({raw}). Convert it to JPEG, or to DNG with a large preview"
    return f"not one of {', '.join(FORMATS)}" if head else "the file is empty"


def _first(signatures: tuple[tuple[str, re.Pattern[bytes]], ...], head: bytes) -> str | None:
    return next((name for name, pattern in signatures if pattern.match(head)), None)
