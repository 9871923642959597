"""Frames of videos. The only module that decodes videos (PyAV, extra `video`).

FFmpeg recognizes formats that open other files or addresses, such as playlists. So the container's
signature is checked here, and FFmpeg gets an open file and the name of its format.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import PurePath
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias

import numpy as np

from imgsearch.distribution import install_hint, is_installed
from imgsearch.errors import (
    FormatRefused,
    ImageCorrupt,
    ImageTooLarge,
    MissingExtra,
)
from imgsearch.images.bounds import limits
from imgsearch.images.containers import HEAD, Container, container_of
from imgsearch.images.decoder import MAX_PIXELS
from imgsearch.images.decoder_errors import image_errors
from imgsearch.images.files import open_regular, printable, unreadable
from imgsearch.images.moments import clock, moment_of
from imgsearch.images.sampling import EVERY_SECOND, MAX_SECONDS, Sampling, Scenes
from imgsearch.types import Pixels

SUFFIXES: Final = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
    ".ogv", ".webm", ".wmv",
})  # fmt: skip
"""Suffixes of videos. `.ts` is left out, because most such files are TypeScript."""

MAX_BYTES: Final = 64 * 1024**3
MAX_FRAMES: Final = 36_000  # ten hours at one frame a second
_MAX_DECODED: Final = MAX_SECONDS * 60
_MAX_DAMAGED: Final = 1_000  # packets that cannot be decoded
_MAX_SIDE: Final = 4  # stretches of a pixel, so that a header cannot make a frame enormous
_PROBED: Final = {"probesize": "5000000", "analyzeduration": "10000000"}  # bytes, microseconds
_THREADS: Final = 8
_SEEK: Final = 10.0  # seconds; for shorter intervals, decoding all frames is faster than seeking
_HALF: Final = 0.0005  # seconds; moments are milliseconds
# Frames between two samples from which frames that no other frame needs are not decoded: half of
# the time is saved, and a sample is at most some frames late.
_MANY: Final = 20
_LOST: Final = 2.0  # seconds that may be missing at the end

Opener: TypeAlias = Callable[[], BinaryIO]
"""A function that opens a video's file, which must be seekable."""


class Frame(NamedTuple):
    """A frame: its time in seconds since the start, and pixels: uint8 (height, width, 3), RGB."""

    seconds: float
    pixels: Pixels


def is_video(path: str) -> bool:
    """Return whether a path has the suffix of a video."""
    return PurePath(path).suffix.lower() in SUFFIXES


@cache
def is_supported() -> bool:
    """Return whether PyAV is installed."""
    return is_installed("av")


def reads_folders(sampling: Sampling) -> bool:
    """Return whether videos in folders are read: frames are taken, and PyAV is installed."""
    return bool(sampling) and is_supported()


def frames(
    path: str,
    sampling: Sampling = EVERY_SECOND,
    *,
    max_pixels: int = MAX_PIXELS,
    max_seconds: float = MAX_SECONDS,
    opener: Opener | None = None,
) -> Iterator[Frame]:
    """Yield frames of a video in the order of time, upright and in square pixels.

    Memory holds one frame and the decoder's frames. `opener` opens the file instead of `path`,
    which messages name.

    Raises:
        MissingExtra: PyAV is not installed.
        SourceError: the file cannot be read.
        FormatRefused: it is not a video, or has sound only.
        ImageTooLarge: it has more than 64 GB, `max_seconds` (24 hours by default) or 36,000 frames
            that are taken, or frames of more than `max_pixels`.
        ImageCorrupt: it cannot be decoded, or ends too early; frames may have been yielded before.
    """
    with _opened(path, max_pixels, opener) as video:
        video.max_seconds = min(max_seconds, MAX_SECONDS)
        yield from _sampled(video, sampling)


def frame_at(
    path: str, seconds: float, *, max_pixels: int = MAX_PIXELS, opener: Opener | None = None
) -> Pixels:
    """Return the first frame of a video at a moment or after it, as `frames` yields it.

    Raises: as for `frames`.
        ImageCorrupt: the video is shorter, too.
    """
    with _opened(path, max_pixels, opener) as video:
        video.seek(seconds)
        for moment, frame in video.decoded():
            if moment >= seconds - _HALF:
                return video.pixels(frame)
        raise ImageCorrupt(f"no frame at {clock(seconds)}")


def read_moment(path: str, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return the frame at a path such as ``clip.mp4#t=12`` as binary PPM.

    Raises: as for `frame_at`.
    """
    video, seconds = moment_of(path) or (path, 0.0)
    return ppm(frame_at(video, seconds, max_pixels=max_pixels))


def ppm(pixels: Pixels) -> bytes:
    """Return pixels as a file of binary PPM, like images in memory; see `objects.encoded`."""
    height, width, _ = pixels.shape
    return b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes()


@dataclass
class _Video:
    """An opened video. `last` is the time of the frame that was decoded last."""

    container: Any
    stream: Any
    path: str
    max_pixels: int
    max_seconds: float = MAX_SECONDS
    last: float = 0.0
    damaged: int = 0
    _start: Fraction = field(default=Fraction(0), init=False)
    _number: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        base = self.stream.time_base or Fraction(0)
        self._start = (self.stream.start_time or 0) * base

    @property
    def seconds(self) -> float:
        """The duration of the picture by the header, 0 if unknown."""
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        match = re.match(r"(\d+):(\d+):(\d+(?:\.\d+)?)", self.stream.metadata.get("DURATION", ""))
        return (
            0.0
            if match is None
            else sum(
                float(part) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)
            )
        )

    def seek(self, seconds: float) -> None:
        """Continue at the last key frame before a moment, if the file can be searched."""
        import av

        offset = int((Fraction(seconds) + self._start) / (self.stream.time_base or 1))
        try:
            self.container.seek(max(0, offset), stream=self.stream)
        except av.error.FFmpegError:
            return

    def decoded(self) -> Iterator[tuple[float, Any]]:
        """Yield all frames with their times. Damaged packets are passed over."""
        import av

        for packet in self.container.demux(self.stream):
            try:
                decoded = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self.damaged += 1
                if self.damaged > _MAX_DAMAGED:
                    raise ImageCorrupt(f"more than {_MAX_DAMAGED:,} damaged packets") from error
                continue
            for frame in decoded:
                yield self._moment(frame), frame

    def _moment(self, frame: Any) -> float:
        self._number += 1
        limits.check_count(self._number, _MAX_DECODED, "frames are decoded")
        if frame.pts is not None and frame.time_base:
            self.last = float(frame.pts * frame.time_base - self._start)
        else:
            self.last = self._number / float(self.stream.average_rate or 25)
        self.check_seconds(self.last)
        return self.last

    def check_seconds(self, seconds: float) -> None:
        """Check a duration. Raises ImageTooLarge if it is longer than allowed."""
        if seconds > self.max_seconds:
            raise ImageTooLarge(f"longer than {clock(self.max_seconds)}")

    def pixels(self, frame: Any) -> Pixels:
        """Return a frame's pixels, upright and square."""
        limits.check_size(frame.width, frame.height, self.max_pixels)
        aspect = self.stream.sample_aspect_ratio or Fraction(1)
        width = frame.width
        if aspect != 1 and Fraction(1, _MAX_SIDE) <= aspect <= _MAX_SIDE:
            width = max(1, round(frame.width * aspect))
        limits.check_size(width, frame.height, self.max_pixels)
        pixels = frame.reformat(width=width, format="rgb24").to_ndarray()
        turns = round(getattr(frame, "rotation", 0) / 90)
        return np.ascontiguousarray(np.rot90(pixels, turns))


@contextmanager
def _opened(path: str, max_pixels: int, opener: Opener | None) -> Iterator[_Video]:
    if not is_supported():
        raise MissingExtra(f"videos need PyAV. Run {install_hint('video')}")
    import av

    with (
        opener() if opener else open_file(path) as file,
        image_errors(printable(path)) as decoding,
        _plain_errors(),
    ):
        format_ = checked_format(file)
        options = {**_PROBED, "protocol_whitelist": ""}
        with av.open(file, format=format_.ffmpeg, options=options) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise FormatRefused("the file has no picture")
            context = stream.codec_context
            limits.check_size(context.width, context.height, max_pixels)
            context.options = {"max_pixels": str(max_pixels)}
            stream.thread_type = "AUTO"
            context.thread_count = min(_THREADS, _cores())
            decoding.stage = "decode"
            yield _Video(container, stream, path, max_pixels)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise FFmpeg's errors with their text alone, without number and file."""
    import av

    try:
        yield
    except av.error.FFmpegError as error:
        raise ImageCorrupt(error.strerror or str(error)) from error


def checked_format(file: BinaryIO) -> Container:
    """Return the format of a video's file, which is left at its start.

    Raises:
        FormatRefused: it is not a video.
        ImageTooLarge: it has more than `MAX_BYTES`.
    """
    if file.seek(0, os.SEEK_END) > MAX_BYTES:
        raise ImageTooLarge(f"more than {MAX_BYTES:,} bytes")
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if (format_ := container_of(head)) is None:
        raise FormatRefused("not a video of a known format" if head else "the file is empty")
    return format_


def open_file(path: str) -> BinaryIO:
    """Open the file of a video.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        return open_regular(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def _sampled(video: _Video, sampling: Sampling) -> Iterator[Frame]:
    """Yield the frames that a sampling takes."""
    video.check_seconds(video.seconds)
    if not sampling.scenes and sampling.every * (video.stream.average_rate or 0) > _MANY:
        video.stream.codec_context.skip_frame = "NONREF"
    seeks, taken = sampling.every >= _SEEK and not sampling.scenes, 0
    for moment, frame in _sought(video, sampling) if seeks else _chosen(video, sampling):
        taken += 1
        limits.check_count(taken, MAX_FRAMES, "frames; take fewer, such as one in 10 s")
        yield Frame(round(moment, 3), video.pixels(frame))
    if not taken:
        raise ImageCorrupt("no frame can be decoded")
    if not seeks and video.last < video.seconds * 0.95 - _LOST:
        raise ImageCorrupt(f"it ends at {clock(video.last)} of {clock(video.seconds)}")


def _chosen(video: _Video, sampling: Sampling) -> Iterator[tuple[float, Any]]:
    """Yield the frames that are taken, of all that are decoded."""
    scenes, due = Scenes(sampling), 0.0
    for moment, frame in video.decoded():
        is_scene = scenes.begins(frame)
        is_due = sampling.every > 0 and moment >= due - _HALF
        if is_due:
            due = _next(moment, sampling)
        if is_scene or is_due:
            yield moment, frame


def _sought(video: _Video, sampling: Sampling) -> Iterator[tuple[float, Any]]:
    """Yield a frame for each interval, and search the file for the next one."""
    due = 0.0
    while pair := next((other for other in video.decoded() if other[0] >= due - _HALF), None):
        yield pair
        due = _next(pair[0], sampling)
        if video.seconds and due > video.seconds:
            return
        video.seek(due)


def _next(moment: float, sampling: Sampling) -> float:
    """Return the first multiple of the interval after a moment."""
    return (moment + _HALF) // sampling.every * sampling.every + sampling.every


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


__all__ = [
    "MAX_BYTES",
    "MAX_FRAMES",
    "SUFFIXES",
    "Frame",
    "Opener",
    "Sampling",
    "checked_format",
    "frame_at",
    "frames",
    "is_supported",
    "is_video",
    "open_file",
    "ppm",
    "read_moment",
]  # fmt: skip
