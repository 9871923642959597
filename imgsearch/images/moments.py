"""Paths of frames: a video's path and the moment, as in W3C's media fragments (``clip.mp4#t=12``).

Source: https://www.w3.org/TR/media-frags/#naming-time
"""

import re
from collections.abc import Mapping
from os.path import lexists
from pathlib import PurePath
from typing import Final

from imgsearch.fields import FieldType

VIDEO: Final = "video"
"""The field of a frame with the path of its video."""

SECONDS: Final = "seconds"
"""The field of a frame with its time in seconds since the video's start."""

FIELDS: Final[Mapping[str, FieldType]] = {VIDEO: "str", SECONDS: "float"}
_MOMENT: Final = re.compile(r"(?s)(.+)#t=(\d{1,6}(?:\.\d{1,3})?)")
_MINUTE, _HOUR = 60, 3600


def moment_path(video: str, seconds: float) -> str:
    """Return the path of the frame at a moment, to a millisecond.

    >>> moment_path("clip.mp4", 12.0), moment_path("clip.mp4", 0.5)
    ('clip.mp4#t=12', 'clip.mp4#t=0.5')
    """
    return f"{video}#t={f'{seconds:.3f}'.rstrip('0').rstrip('.')}"


def moment_of(path: str) -> tuple[str, float] | None:
    """Return the video and the seconds of a frame's path. Returns None for other paths.

    >>> moment_of("clip.mp4#t=72.5"), moment_of("cat.jpg")
    (('clip.mp4', 72.5), None)
    """
    match = _MOMENT.fullmatch(path)
    if match is None or lexists(path):
        return None
    return match[1], float(match[2])


def file_of(path: str) -> str:
    """Return the file that a path reads: the video of a frame, otherwise `path`."""
    moment = moment_of(path)
    return path if moment is None else moment[0]


def clock(seconds: float) -> str:
    """Return a moment as minutes and seconds, with hours if there are any.

    >>> clock(12.9), clock(3723)
    ('0:12', '1:02:03')
    """
    whole = int(seconds)
    minutes, rest = whole // _MINUTE, whole % _MINUTE
    if whole < _HOUR:
        return f"{minutes}:{rest:02d}"
    return f"{whole // _HOUR}:{minutes % _MINUTE:02d}:{rest:02d}"


def title(path: str, *, short: bool = False) -> str:
    """Return a path as users read it; with `short`, without its folder.

    >>> title("films/clip.mp4#t=12"), title("films/clip.mp4#t=12", short=True)
    ('films/clip.mp4 at 0:12', 'clip.mp4 at 0:12')
    """
    moment = moment_of(path)
    video = path if moment is None else moment[0]
    name = PurePath(video).name if short else video
    return name if moment is None else f"{name} at {clock(moment[1])}"
