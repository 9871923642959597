"""Finds the main image of a TIFF or, in a camera's raw file, the largest preview.

A raw file (DNG, NEF, CR2, ARW, PEF …) is a TIFF whose first directory often holds a thumbnail. Its
sensor data is not decoded. Some scanners and microscopes store a thumbnail first, too.

Source: DNG 1.7, https://helpx.adobe.com/camera-raw/digital-negative.html; for the makers' formats
https://exiftool.org/TagNames/ and http://lclevy.free.fr/cr2/.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from imgsearch.errors import FormatRefused
from imgsearch.images import bounds, jpeg, tiff
from imgsearch.images.decoder_errors import DECODER_ERRORS
from imgsearch.images.encoded_image import EncodedImage
from imgsearch.images.tiff import Directory

_SENSOR: Final = {32803, 34892}  # PhotometricInterpretation: CFA, LinearRaw
_DECODABLE: Final = {0, 1, 2, 3, 5, 6, 8}  # PhotometricInterpretation: values that Pillow reads
_NOT_AN_IMAGE: Final = 4 | 8  # NewSubfileType: transparency mask, depth map
_JPEG: Final = {6, 7}  # Compression
_HEADER: Final = 1 << 20  # bytes of a JPEG before its frame header: profiles, thumbnails
_ATTEMPTS: Final = 4  # candidates that are opened, the largest first
_LEAST: Final = 512
"""The minimum longer edge of a preview: thumbnails have 160 to 320 pixels, previews 570 or more."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An image that may be decoded: a directory of the file, or a JPEG between two offsets."""

    directory: Directory
    size: tuple[int, int]
    jpeg: tuple[int, int] | None = None

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    def is_large(self, full: int) -> bool:
        """Return whether the candidate can replace an image of `full` pixels (0 if unknown)."""
        is_full = self.jpeg is None and self.directory.is_full
        return is_full or max(self.size) >= _LEAST or 0 < full <= self.pixels * 4

    def encoded(self, data: bytes, orientation: int | None) -> EncodedImage:
        """Return the candidate as an image; `orientation` comes from the first directory."""
        if self.jpeg is not None:
            return EncodedImage("JPEG", data[slice(*self.jpeg)], orientation)
        has_own = tiff.ORIENTATION in self.directory.entries
        file = tiff.beginning_with(data, self.directory.offset)
        return EncodedImage("TIFF", file, None if has_own else orientation)


def main_image(data: bytes) -> EncodedImage:
    """Return the first image of a TIFF, or a larger one if the first is a thumbnail or sensor data.

    A preview gets the orientation of the first directory, because cameras store it only there.

    Raises:
        FormatRefused: the file is raw, or its first image is a thumbnail, and it holds no large
            image that can be decoded.
    """
    directories = tiff.directories(data)
    raw = _is_raw(data, directories)
    if not raw and not (directories and directories[0].is_reduced):
        return EncodedImage("TIFF", data)
    orientation = directories[0].value(tiff.ORIENTATION) or None
    best = _largest(data, directories)
    sizes = [directory.size for directory in directories if not raw or _is_sensor(directory)]
    full = max((width * height for width, height in sizes), default=0)
    if best is None or not best.is_large(full):
        raise FormatRefused(_refusal(best, raw=raw))
    return best.encoded(data, orientation)


def _is_raw(data: bytes, directories: list[Directory]) -> bool:
    return (
        data[8:10] == b"CR"  # Canon's CR2
        or any(tiff.DNG_VERSION in directory.entries for directory in directories[:1])
        or any(map(_is_sensor, directories))
    )


def _is_sensor(directory: Directory) -> bool:
    return directory.value(tiff.PHOTOMETRIC, -1) in _SENSOR


def _largest(data: bytes, directories: list[Directory]) -> _Candidate | None:
    """Return the largest image whose header Pillow can read. Returns None if there is none."""
    candidates = [
        candidate for directory in directories for candidate in _candidates(data, directory)
    ]
    candidates.sort(key=lambda candidate: candidate.pixels, reverse=True)
    for candidate in candidates[:_ATTEMPTS]:
        encoded = candidate.encoded(data, None)
        bounds.check(encoded.kind, encoded.data)
        try:
            with encoded.open() as image:
                return replace(candidate, size=image.size)
        except DECODER_ERRORS:
            continue
    return None


def _candidates(data: bytes, directory: Directory) -> Iterator[_Candidate]:
    for start, number in _streams(directory):
        size = jpeg.decoded_size(data[start : start + min(number, _HEADER)])
        if all(size):
            yield _Candidate(directory, size, (start, start + number))
            return
    if (
        directory.value(tiff.PHOTOMETRIC, -1) in _DECODABLE
        and not directory.value(tiff.SUBFILE) & _NOT_AN_IMAGE
    ):
        yield _Candidate(directory, directory.size)


def _streams(directory: Directory) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of each part of the file that may be a complete JPEG."""
    yield directory.value(tiff.JPEG_START), directory.value(tiff.JPEG_BYTES)
    strips = directory.entries.get(tiff.STRIPS, ())
    alone = len(strips) == 1 and tiff.JPEG_TABLES not in directory.entries
    if directory.value(tiff.COMPRESSION) in _JPEG and alone:
        yield strips[0], directory.value(tiff.STRIP_BYTES)


def _refusal(best: _Candidate | None, *, raw: bool) -> str:
    what = "a camera's raw file" if raw else "a file that begins with a thumbnail"
    held = "no preview"
    if best is not None:
        held = "no larger preview than {} x {} pixels".format(*best.size)
    advice = "Convert it to JPEG, or to DNG with a large preview" if raw else "Save it as one image"
    return f"{what} with {held} that can be decoded. {advice}"
