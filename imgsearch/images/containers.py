"""Formats of video files, recognized by their first bytes."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

HEAD: Final = 512
"""Bytes at the start of a file that decide about its format."""


class Container(NamedTuple):
    """A format of video files: its name, and FFmpeg's name for it."""

    name: str
    ffmpeg: str


# The first pattern that matches decides
_FORMATS: Final[tuple[tuple[re.Pattern[bytes], Container], ...]] = (
    (re.compile(rb".{4}ftypqt  |.{4}(?:moov|mdat|wide|free|skip)", re.DOTALL),
     Container("MOV", "mov")),
    (re.compile(rb".{4}ftyp", re.DOTALL), Container("MP4", "mov")),
    (re.compile(rb"\x1a\x45\xdf\xa3.{0,60}webm", re.DOTALL), Container("WEBM", "matroska")),
    (re.compile(rb"\x1a\x45\xdf\xa3"), Container("MATROSKA", "matroska")),
    (re.compile(rb"RIFF....AVI ", re.DOTALL), Container("AVI", "avi")),
    (re.compile(rb"FLV\x01"), Container("FLV", "flv")),
    (re.compile(rb"\x00\x00\x01\xba"), Container("MPEG", "mpeg")),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), Container("ASF", "asf")),
    (re.compile(rb"OggS"), Container("OGG", "ogg")),
    (re.compile(rb"(?:.{4})?\x47.{187}(?:.{4})?\x47", re.DOTALL), Container("MPEGTS", "mpegts")),
)  # fmt: skip

MEDIA_TYPES: Final[Mapping[str, str]] = {
    "MP4": "video/mp4", "MOV": "video/quicktime", "WEBM": "video/webm",
    "MATROSKA": "video/x-matroska", "AVI": "video/x-msvideo", "FLV": "video/x-flv",
    "MPEG": "video/mpeg", "ASF": "video/x-ms-asf", "OGG": "video/ogg", "MPEGTS": "video/mp2t",
}  # fmt: skip
"""The media type of each format by its name."""

PLAYED: Final = frozenset({"video/mp4", "video/webm", "video/ogg", "video/quicktime"})
"""The media types that browsers play, depending on the codec."""


def container_of(head: bytes) -> Container | None:
    r"""Return the format of a file that starts with `head`. Returns None for other files.

    >>> container_of(b"\x00\x00\x00\x20ftypisom").name
    'MP4'
    """
    return next((container for pattern, container in _FORMATS if pattern.match(head)), None)
