"""Which frames are taken from a video."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imgsearch.errors import ConfigError

MAX_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Sampling:
    """The frames that are taken from a video.

    `every` is the interval in seconds, 0 for none. With `scenes` the first frame of each scene is
    taken, too: where FFmpeg's score of the change to the frame before is above `threshold`, which
    lies in [0, 1].

    >>> Sampling.parse("5,scenes")
    Sampling(every=5.0, scenes=True, threshold=0.3)
    """

    every: float = 1.0
    scenes: bool = False
    threshold: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.every <= MAX_SECONDS:
            raise ConfigError(f"{self.every!r} s between frames: give 0 to {MAX_SECONDS:,} seconds")
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"the threshold of scenes lies in (0, 1], not {self.threshold!r}")

    @classmethod
    def parse(cls, text: "str | float | Sampling") -> "Sampling":
        """Return the sampling of a text: an interval in seconds, "scenes", both, or "none".

        Raises:
            ConfigError: the text is something else.
        """
        if isinstance(text, Sampling):
            return text
        words = [part.strip().lower() for part in str(text).split(",")]
        if words == ["none"]:
            return cls(0)
        intervals = [word for word in words if word != "scenes"]
        try:
            (every,) = map(float, intervals) if intervals else (0.0,)
        except ValueError:
            raise ConfigError(
                f'invalid frames {text!r}: give seconds, "scenes", "5,scenes" or "none"'
            ) from None
        return cls(every, scenes="scenes" in words)

    def __bool__(self) -> bool:
        """Whether any frame is taken."""
        return self.every > 0 or self.scenes

    def __str__(self) -> str:
        words = [f"{self.every:g}"] if self.every else []
        if self.scenes:
            words.append("scenes")
        return ",".join(words) or "none"


class Scenes:
    """Finds the first frames of scenes by FFmpeg's score.

    Source: `get_scene_score` in https://ffmpeg.org/doxygen/trunk/f__select_8c_source.html. FFmpeg
    compares all pixels; this class compares the brightness of every 8th pixel of every 8th row.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._before: npt.NDArray[np.int16] | None = None
        self._change = 0.0

    def begins(self, frame: Any) -> bool:
        """Return whether a frame begins a scene. The first frame does."""
        if not self._sampling.scenes:
            return False
        gray = frame.reformat(format="gray").to_ndarray()[::8, ::8].astype(np.int16)
        before, self._before = self._before, gray
        if before is None or before.shape != gray.shape:
            return True
        last, self._change = self._change, float(np.abs(gray - before).mean())
        score = min(self._change, abs(self._change - last)) / 100
        return min(score, 1.0) > self._sampling.threshold


EVERY_SECOND: Final = Sampling()
NONE: Final = Sampling(every=0)
