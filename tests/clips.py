"""Writes small videos: every second has a color of its own, and the last one is bright noise."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av")

COLORS = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200))
WIDTH, HEIGHT, RATE = 96, 64, 10


def picture(number: int, colors: Sequence[tuple[int, int, int]] = COLORS) -> np.ndarray[Any, Any]:
    """Return a frame: the color of its second, a bright left edge, and a moving bar."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:] = colors[number // RATE % len(colors)]
    pixels[:, :16] = 255
    place = 24 + number % RATE * 4
    pixels[16:32, place : place + 8] = 0
    return pixels


def clip(
    path: str | Path,
    *,
    seconds: float = 3,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    colors: Sequence[tuple[int, int, int]] = COLORS,
    skipped: Sequence[int] = (),
    options: dict[str, str] | None = None,
) -> Path:
    """Write a clip of 96 x 64 pixels and 10 frames a second, without the `skipped` frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        for number in range(int(seconds * RATE)):
            if number in skipped:
                continue
            frame = av.VideoFrame.from_ndarray(picture(number, colors), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Path(path)


def sound(path: str | Path) -> Path:
    """Write half a second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        for number in range(4):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 8000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Path(path)


def turned(path: Path) -> Path:
    """Make an MP4 be shown turned by 90 degrees clockwise, as phones do, by its matrix."""
    data = path.read_bytes()
    plain = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    quarter = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    at = data.index(plain, data.index(b"tkhd"))
    path.write_bytes(data[:at] + quarter + data[at + len(plain) :])
    return path
