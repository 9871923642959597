"""Path of a video → its frames."""

from pathlib import Path

from imgsearch.images import MAX_PIXELS, checked_limit
from imgsearch.images.moments import moment_path
from imgsearch.images.sampling import Sampling
from imgsearch.images.videos import frames
from imgsearch.towhee import Operator
from imgsearch.types import Pixels


class VideoFrames(Operator):
    """Take frames of a video: at an interval in seconds, and the first ones of scenes."""

    def __init__(self, sample: str | float = 1.0, *, max_pixels: int = MAX_PIXELS) -> None:
        self._sampling, self._max_pixels = Sampling.parse(sample), checked_limit(max_pixels)

    def __call__(self, path: str | Path) -> list[tuple[str, float, Pixels]]:
        """Return (path, seconds, pixels) of each frame; a path is such as ``clip.mp4#t=12``."""
        taken = frames(str(path), self._sampling, max_pixels=self._max_pixels)
        return [(moment_path(str(path), seconds), seconds, pixels) for seconds, pixels in taken]


video_frames = VideoFrames  # the name that Towhee looks for
