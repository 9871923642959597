"""Which picture of a TIFF is decoded: of a camera's raw file the largest preview.

A raw file (DNG, NEF, CR2, ARW, PEF …) is a TIFF whose first directory often holds a thumbnail, and
whose sensor data no decoder here develops. So do some scanners and microscopes put a thumbnail
first.

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
_PICTURES: Final = {0, 1, 2, 3, 5, 6, 8}  # the ones that Pillow reads
_NO_PICTURE: Final = 4 | 8  # NewSubfileType: transparency mask, depth map
_JPEG: Final = {6, 7}  # Compression
_HEADER: Final = 1 << 20  # bytes of a JPEG that may lie before its frame: profiles and thumbnails
_ATTEMPTS: Final = 4  # pictures that are tried, the largest first: each costs a look at its header
_LEAST: Final = 512
"""Pixels of the longer edge: cameras' thumbnails have 160 to 320, their previews 570 and more."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A picture that may be decoded: a directory of the file, or a JPEG between two places."""

    directory: Directory
    size: tuple[int, int]
    jpeg: tuple[int, int] | None = None

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    def is_enough(self, full: int) -> bool:
        """Tell whether it stands for a picture of so many pixels, 0 where that is unknown."""
        is_full = self.jpeg is None and self.directory.is_full
        return is_full or max(self.size) >= _LEAST or 0 < full <= self.pixels * 4

    def encoded(self, data: bytes, turn: int | None) -> EncodedImage:
        """Return it as bytes of their own; `turn` is the first directory's orientation."""
        if self.jpeg is not None:
            return EncodedImage("JPEG", data[slice(*self.jpeg)], turn)
        turned = tiff.ORIENTATION in self.directory.entries
        shown = tiff.beginning_with(data, self.directory.offset)
        return EncodedImage("TIFF", shown, None if turned else turn)


def main_image(data: bytes) -> EncodedImage:
    """Return the picture that a TIFF is decoded as: its first one, unless that is a preview.

    A preview is turned as the first directory says, because cameras state it there alone.

    Raises:
        FormatRefused: the file is raw, or its first picture a thumbnail, and none of the others
            that can be decoded is large.
    """
    directories = tiff.directories(data)
    raw = _is_raw(data, directories)
    if not raw and not (directories and directories[0].is_reduced):
        return EncodedImage("TIFF", data)
    turn = directories[0].value(tiff.ORIENTATION) or None
    best = _largest(data, directories)
    measured = [each for each in directories if not raw or _is_sensor(each)]
    full = max((each.size[0] * each.size[1] for each in measured), default=0)
    if best is None or not best.is_enough(full):
        raise FormatRefused(_refusal(best, raw=raw))
    return best.encoded(data, turn)


def _is_raw(data: bytes, directories: list[Directory]) -> bool:
    return (
        data[8:10] == b"CR"  # Canon's CR2
        or any(tiff.DNG_VERSION in each.entries for each in directories[:1])
        or any(map(_is_sensor, directories))
    )


def _is_sensor(directory: Directory) -> bool:
    return directory.value(tiff.PHOTOMETRIC, -1) in _SENSOR


def _largest(data: bytes, directories: list[Directory]) -> _Candidate | None:
    """Return the largest picture whose header Pillow reads."""
    found = [each for directory in directories for each in _candidates(data, directory)]
    found.sort(key=lambda each: each.pixels, reverse=True)
    for candidate in found[:_ATTEMPTS]:
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
        directory.value(tiff.PHOTOMETRIC, -1) in _PICTURES
        and not directory.value(tiff.SUBFILE) & _NO_PICTURE
    ):
        yield _Candidate(directory, directory.size)


def _streams(directory: Directory) -> Iterator[tuple[int, int]]:
    """Yield the start and the bytes of what may be a whole JPEG within the file."""
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
