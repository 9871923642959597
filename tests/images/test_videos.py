"""Frames of videos: their times and pixels, and the errors of other files."""

import contextlib
import io
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import (
    ConfigError,
    FormatRefused,
    ImageCorrupt,
    ImageTooLarge,
    MissingExtra,
    SourceError,
)
from imgsearch.images import decode, sources, videos
from imgsearch.images.moments import clock, file_of, moment_of, moment_path, title
from imgsearch.images.sampling import Sampling
from imgsearch.images.videos import frame_at, frames
from tests.clips import COLORS, clip, picture, sound, turned

# codec, pixel format and suffix; all are read alike
CONTAINERS = {
    "H.264": ("libx264", "yuv420p", ".mp4"),
    "H.264 in Matroska": ("libx264", "yuv420p", ".mkv"),
    "VP9": ("libvpx-vp9", "yuv420p", ".webm"),
    "MPEG-4": ("mpeg4", "yuv420p", ".mov"),
    "MJPEG": ("mjpeg", "yuvj420p", ".avi"),
    "MPEG-2": ("mpeg2video", "yuv420p", ".mpg"),
    "FLV": ("flv", "yuv420p", ".flv"),
    "WMV": ("wmv2", "yuv420p", ".wmv"),
}


def times(path: Path, sample: str | float = 1) -> list[float]:
    return [frame.seconds for frame in frames(str(path), Sampling.parse(sample))]


def color(pixels: np.ndarray) -> list[int]:
    """Return the color of a frame's lower right quarter, which the bar does not cross."""
    height, width, _ = pixels.shape
    return [round(float(value)) for value in pixels[height // 2 :, width // 2 :].mean(axis=(0, 1))]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return clip(tmp_path_factory.mktemp("clips") / "Käfer.mp4")


@pytest.mark.parametrize("name", CONTAINERS)
def test_one_frame_a_second_is_taken_of_each_format(name, tmp_path):
    codec, pixel_format, suffix = CONTAINERS[name]
    path = clip(tmp_path / f"clip{suffix}", codec=codec, pixel_format=pixel_format)
    taken = list(frames(str(path)))
    assert [frame.seconds for frame in taken] == pytest.approx([0, 1, 2], abs=0.11)
    for frame, expected in zip(taken, COLORS, strict=False):
        assert frame.pixels.shape == (64, 96, 3)
        assert frame.pixels.dtype == np.uint8
        assert np.abs(np.subtract(color(frame.pixels), expected)).max() < 12


def test_interval_is_in_seconds(video):
    assert times(video, 0.5) == [0, 0.5, 1, 1.5, 2, 2.5]
    assert times(video, 2) == [0, 2]
    assert times(video, 0.1) == [round(number / 10, 1) for number in range(30)]


def test_first_frame_of_each_scene_is_taken(tmp_path):
    dark, bright = (10, 10, 10), (250, 250, 250)
    path = clip(tmp_path / "cuts.mp4", seconds=4, colors=(dark, bright, bright, dark))
    assert times(path, "scenes") == [0, 1, 3]
    assert times(path, "2,scenes") == [0, 1, 2, 3]


def test_variable_frame_rate_takes_the_next_frame(tmp_path):
    path = clip(tmp_path / "vfr.mp4", skipped=(10, 11, 20))
    assert times(path) == [0, 1.2, 2.1]


def test_long_intervals_are_searched(tmp_path):
    """From 10 s on the file is searched for the next frame; the result is the same."""
    path = clip(tmp_path / "long.mp4", seconds=45, options={"g": "30"})
    assert times(path, 15) == [0, 15, 30]
    whole = {frame.seconds: frame.pixels for frame in frames(str(path))}
    for frame in frames(str(path), Sampling(15)):
        assert np.array_equal(frame.pixels, whole[frame.seconds])


def test_skipping_frames_changes_no_pixel(tmp_path):
    """With more than 20 frames between samples, frames that no other needs are not decoded."""
    path = clip(tmp_path / "b.mp4", seconds=12, options={"bf": "3"})
    taken = list(frames(str(path), Sampling(3)))
    assert [frame.seconds for frame in taken] == pytest.approx([0, 3, 6, 9], abs=0.4)
    whole = {frame.seconds: frame.pixels for frame in frames(str(path), Sampling(0.1))}
    for seconds, pixels in taken:
        assert np.array_equal(pixels, whole[seconds])
        assert np.array_equal(pixels, frame_at(str(path), seconds))


def test_rotation_is_applied(tmp_path):
    upright = next(frames(str(clip(tmp_path / "a.mp4")))).pixels
    phone = next(frames(str(turned(clip(tmp_path / "b.mp4"))))).pixels
    assert phone.shape == (96, 64, 3)
    assert np.array_equal(phone, np.rot90(upright, -1))  # clockwise: the bright edge is on top


def test_frame_of_a_path_is_the_frame_that_was_taken(video):
    for seconds, pixels in frames(str(video)):
        path = moment_path(str(video), seconds)
        assert np.array_equal(frame_at(str(video), seconds), pixels)
        assert np.array_equal(decode(sources.read(path)), pixels)


def test_moment_after_the_end_is_an_error(video):
    with pytest.raises(ImageCorrupt, match="no frame at 1:00"):
        frame_at(str(video), 60)


def test_moments_are_read_from_paths(tmp_path):
    assert moment_path("a.mp4", 1.2345) == "a.mp4#t=1.234"
    assert moment_of("a.mp4#t=1.234") == ("a.mp4", 1.234)
    assert [moment_of(path) for path in ("a.mp4", "a.mp4#t=", "#t=1", "a#t=1e9", "a#t=-1")] == (
        [None] * 5
    )
    assert title("x/a.mp4#t=3723", short=True) == "a.mp4 at 1:02:03"
    assert clock(59.999) == "0:59"


def test_file_with_the_name_of_a_moment_is_a_file(tmp_path):
    file = tmp_path / "cat.png#t=1"
    Image.fromarray(picture(0)).save(file, "PNG")
    assert moment_of(str(file)) is None
    assert file_of(str(file)) == str(file)
    assert sources.read(str(file)) == file.read_bytes()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1, Sampling(1)),
        ("0.5", Sampling(0.5)),
        ("scenes", Sampling(0, scenes=True)),
        (" 5, Scenes ", Sampling(5, scenes=True)),
        ("none", Sampling(0)),
    ],
)
def test_samplings_are_parsed(text, expected):
    assert Sampling.parse(text) == expected
    assert Sampling.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "often", "-1", "nan", "inf", "1e9", "1,2", "0x1"])
def test_invalid_samplings_are_rejected(text):
    with pytest.raises(ConfigError):
        Sampling.parse(text)


def refused(path: Path, error: type[Exception]) -> str:
    with pytest.raises(error) as raised:
        list(frames(str(path)))
    return str(raised.value)


def test_truncated_video_yields_frames_and_an_error(tmp_path):
    path = clip(tmp_path / "cut.mkv", seconds=8, options={"g": "10"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    taken = []
    with pytest.raises(ImageCorrupt, match=r"cut.mkv.*it ends at 0:0\d of 0:0[78]"):
        taken.extend(frame.seconds for frame in frames(str(path)))  # as far as the error
    assert 2 <= len(taken) <= 6


def test_damaged_frames_are_passed_over(tmp_path):
    path = clip(tmp_path / "damaged.avi", codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    path.write_bytes(data)
    assert len(times(path)) >= 2


def test_other_files_are_refused(tmp_path, video):
    for name, content in {
        "empty.mp4": b"",
        "text.mp4": b"hello\n" * 100,
        "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "image.mp4": _png(),
    }.items():
        file = tmp_path / name
        file.write_bytes(content)
        assert str(file) in refused(file, FormatRefused)
    assert "has no picture" in refused(sound(tmp_path / "sound.mp4"), FormatRefused)
    header = tmp_path / "header.mp4"
    header.write_bytes(video.read_bytes()[:600])
    assert "Invalid data" in refused(header, ImageCorrupt)


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_folders_pipes_and_missing_files_are_errors(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("folder.mp4", "pipe.mp4", "missing.mp4", "nul\0.mp4"):
        with pytest.raises(SourceError):
            list(frames(str(tmp_path / name)))


def test_frames_above_the_limit_are_refused(video, monkeypatch):
    with pytest.raises(ImageTooLarge, match="96 x 64"):
        list(frames(str(video), max_pixels=96 * 64 - 1))
    monkeypatch.setattr(videos, "MAX_FRAMES", 2)
    with pytest.raises(ImageTooLarge, match="more than 2 frames"):
        list(frames(str(video)))
    monkeypatch.setattr(videos, "MAX_SECONDS", 2)
    with pytest.raises(ImageTooLarge, match="longer"):
        list(frames(str(video)))
    monkeypatch.setattr(videos, "MAX_BYTES", 100)
    with pytest.raises(ImageTooLarge, match="more than 100 bytes"):
        list(frames(str(video)))


def test_header_with_an_enormous_size_is_refused(tmp_path):
    path = clip(tmp_path / "big.mp4", codec="mpeg4")
    data = path.read_bytes()
    at = data.index(b"mp4v") + 4 + 24  # width and height in the sample's description
    assert struct.unpack_from(">HH", data, at) == (96, 64)
    path.write_bytes(data[:at] + struct.pack(">HH", 65535, 65535) + data[at + 4 :])
    try:
        taken = list(frames(str(path)))
    except (ImageTooLarge, ImageCorrupt):
        return
    # the decoder knows better; a pixel may be stretched up to four times
    assert max(frame.pixels.size for frame in taken) <= 4 * 96 * 64 * 3


def test_damaged_headers_raise_image_errors(tmp_path, video):
    data, numbers = video.read_bytes(), np.random.default_rng(5)
    moov = data.index(b"moov")
    for number in range(60):
        damaged = bytearray(data)
        for at in numbers.integers(moov, len(data), 4):
            damaged[at] = numbers.integers(0, 256)
        file = tmp_path / f"{number}.mp4"
        file.write_bytes(damaged)
        with contextlib.suppress(ImageCorrupt, ImageTooLarge, FormatRefused):
            list(frames(str(file)))


def test_missing_extra_is_named(video, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    videos.is_supported.cache_clear()
    try:
        with pytest.raises(MissingExtra, match="video"):
            list(frames(str(video)))
    finally:
        monkeypatch.undo()
        videos.is_supported.cache_clear()
