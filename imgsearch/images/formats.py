"""The formats that are decoded, and how a file's first bytes announce them.

What Pillow opens is narrowed to `FORMATS`: what cameras, phones, browsers, scanners and scientific
tools write, and what a signature tells apart. Left out are EPS, WMF and PDF (they run other
programs), TGA, PCX and DIB (no signature, so any bytes could pass for pixels), ICO and ICNS (Pillow
decodes them before their size is known), plain-text PNM (quadratic in its comments), and FLI, PSD,
SGI, DDS, FITS, SPIDER and their like (rare, and the usual way into a decoder).

HEIC needs the extra `heic` (pillow-heif), because Pillow has no decoder for it.
"""

import re
from typing import Final

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")
"""What is always decoded, by Pillow's names.

MPO counts as JPEG, APNG as PNG, PBM, PGM and PFM as PPM.
"""

HEAD: Final = 32
"""How many of a file's first bytes `sniff` wants."""

# mif1 and msf1 are containers of HEIC and AVIF alike: the compatible brands decide
_HEIC: Final = rb"hei[cxms]|hev[cxms]"
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
    ("AVIF", re.compile(rb".{4}ftyp(?:avi[fs]|m[is]f1.{4,16}avi[fs])", re.DOTALL)),
    ("HEIC", re.compile(rb".{4}ftyp(?:" + _HEIC + rb"|m[is]f1)", re.DOTALL)),
)

# raw files that are no TIFF: the makers' own containers and magic numbers
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
    """Return the format that a file's first `HEAD` bytes announce: one of `FORMATS`, or "HEIC".

    None for another one. Says nothing about whether the rest is sound.
    """
    return _first(_SIGNATURES, head)


def refusal(head: bytes) -> str:
    """Return why a file that `sniff` does not know is refused."""
    if raw := _first(_RAW, head):
        return f"a camera's raw file ({raw}). Convert it to JPEG, or to DNG with a large preview"
    return f"not one of {', '.join(FORMATS)}" if head else "the file is empty"


def _first(signatures: tuple[tuple[str, re.Pattern[bytes]], ...], head: bytes) -> str | None:
    return next((name for name, pattern in signatures if pattern.match(head)), None)
