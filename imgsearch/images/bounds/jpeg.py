"""JPEG: the segments before the first scan.

Pillow 12.3 reads them in Python, stray and fill bytes one by one. It keeps each segment, and joins
EXIF segments one by one. Source of the layout: https://www.w3.org/Graphics/JPEG/itu-t81.pdf
"""

import re
from typing import Final

from imgsearch.images.bounds.limits import check_count
from imgsearch.images.bounds.tiff import check_exif

_SEGMENTS: Final = 10_000  # of 64 kB at most; a thermal camera's file has some hundreds
_STRAY: Final = 1 << 18  # bytes between the segments: 0.1 s
_SEGMENT_BYTES: Final = 64 << 20  # Pillow keeps a copy
_EXIF_SEGMENTS: Final = 64  # 4 MB, which Pillow joins one by one
_PARSED_BYTES: Final = 1 << 20  # of tables and frame headers, whose entries Pillow reads one by one
_PHOTOSHOP_BYTES: Final = 8 << 20  # whose resources Pillow reads one by one: 0.7 million, 1 s
_EXIF: Final = b"Exif\0\0"
_SCAN, _TABLE, _EXIF_MARKER, _MPF_MARKER, _PHOTOSHOP_MARKER = 0xDA, 0xDB, 0xE1, 0xE2, 0xED
_FRAMES: Final = frozenset((*range(0xC0, 0xD0), 0xDE)) - {0xC4, 0xC8, 0xCC}
_BARE: Final = frozenset((0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)))  # no length in Pillow
_KNOWN_FROM: Final = 0xC0
_MARKER: Final = re.compile(rb"\xff[^\xff]")  # fill bytes before a marker count as stray bytes


def check(data: bytes, _max_pixels: int | None) -> None:
    """Reject a JPEG with too much data before its first scan."""
    counts: dict[str, int] = {}
    exif: list[bytes] = []
    mpf = b""
    for marker, start, end in _Segments(data):
        _count(counts, _SEGMENTS, "segments before the pixels")
        _count(counts, _SEGMENT_BYTES, "bytes of segments before the pixels", end - start)
        if marker == _TABLE or marker in _FRAMES:
            _count(counts, _PARSED_BYTES, "bytes of tables and frame headers", end - start)
        elif marker == _EXIF_MARKER and data.startswith(_EXIF, start, end):
            _count(counts, _EXIF_SEGMENTS, "segments of EXIF")
            exif.append(data[start + len(_EXIF) if exif else start : end])
        elif marker == _MPF_MARKER and data.startswith(b"MPF\0", start, end):
            mpf = data[start + 4 : end]
        elif marker == _PHOTOSHOP_MARKER and data.startswith(b"Photoshop 3.0\0", start, end):
            _count(counts, _PHOTOSHOP_BYTES, "bytes of Photoshop's resources", end - start)
    check_exif(b"".join(exif))
    check_exif(mpf)


def _count(counts: dict[str, int], most: int, what: str, number: int = 1) -> None:
    counts[what] = counts.get(what, 0) + number
    check_count(counts[what], most, what)


class _Segments:
    """Iterates over the segments before the first scan: marker, start and end of content."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._stray = data, 2, 0

    def __iter__(self) -> "_Segments":
        return self

    def __next__(self) -> tuple[int, int, int]:
        data = self._data
        while True:
            marker = self._marker()
            if marker in _BARE:
                continue
            if marker == _SCAN:
                raise StopIteration
            start = self._at + 2
            length = int.from_bytes(data[self._at : start], "big") - 2
            self._at = start + max(0, length)
            if self._at > len(data):
                raise StopIteration
            return marker, start, self._at

    def _marker(self) -> int:
        """Skip the next marker and return its second byte."""
        while True:
            match = _MARKER.search(self._data, self._at)
            if match is None:
                raise StopIteration
            self._stray += match.end() - self._at - 1
            check_count(self._stray, _STRAY, "stray bytes between the segments")
            self._at = match.end()
            marker = match[0][-1]
            if marker and marker < _KNOWN_FROM:
                raise StopIteration  # Pillow stops here, too
            if marker:
                return marker
