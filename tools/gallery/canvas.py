"""A canvas of float pixels with soft-edged shapes, noise and light, in numpy and Pillow only.

Coordinates are in units of the canvas height: x runs right from 0 to `width`, y down from 0
to 1. A mask is float32 (h, w) in [0, 1]; a color is "#rrggbb" or float32 RGB in [0, 1], of shape
(3,) or (h, w, 3).
"""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from imgsearch.types import Pixels

Array: TypeAlias = npt.NDArray[np.float32]
Field: TypeAlias = npt.NDArray[np.floating[Any]]  # arithmetic may widen float32
Color: TypeAlias = str | Array
Point: TypeAlias = tuple[float, float]
T = TypeVar("T")

_SUPERSAMPLED = 4  # a polygon's edge gets 17 levels, finer than the film grain


def rgb(color: Color) -> Array:
    """Return a color as float32 RGB in [0, 1]."""
    if not isinstance(color, str):
        return color
    return np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


def mix(a: Color, b: Color, t: Field | float) -> Array:
    """Interpolate linearly from color a (t = 0) to b (t = 1). A mask t yields (h, w, 3)."""
    share = t[..., None].astype(np.float32) if isinstance(t, np.ndarray) else np.float32(t)
    first = rgb(a)
    return np.asarray(first + (rgb(b) - first) * share, np.float32)


def ramp(field: Field, start: float, end: float) -> Array:
    """Return a mask that rises linearly from 0 at the value `start` of `field` to 1 at `end`."""
    share = (field - np.float32(start)) / np.float32(end - start)
    return np.asarray(np.clip(share, 0, 1), np.float32)


class Canvas:
    """Pixels to paint on, and the random generator for all choices of a painter."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self._place(np.zeros((height, width, 3), np.float32), complex(height), 0j)

    def _place(self, pixels: Array, zoom: complex, origin: complex) -> None:
        """Set pixels and axes: the local point z = x + yi is at pixel z * zoom + origin."""
        self.rgb, self._zoom, self._origin = pixels, zoom, origin
        rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
        local = ((columns + 0.5) + 1j * (rows + 0.5) - origin) / zoom
        self.x, self.y = local.real.astype(np.float32), local.imag.astype(np.float32)
        self.pixel = 1 / abs(zoom)
        self.width = pixels.shape[1] / abs(zoom)

    def at(
        self, x: float, y: float, scale: float, *, turn: float = 0.0, reach: float = 1.3
    ) -> "Canvas":
        """Return a window on the same pixels, with the origin at (x, y).

        Its unit is `scale` units of this canvas, and its axes are rotated by `turn` radians. It
        extends `reach` of its own units in each direction; math.inf keeps all pixels.
        """
        height, width = self.rgb.shape[:2]
        middle, radius = complex(x, y) * self._zoom + self._origin, reach * scale / self.pixel
        left = math.floor(min(max(middle.real - radius, 0), width - 1))
        top = math.floor(min(max(middle.imag - radius, 0), height - 1))
        right = math.ceil(min(max(middle.real + radius, left + 1), width))
        bottom = math.ceil(min(max(middle.imag + radius, top + 1), height))
        window = Canvas.__new__(Canvas)
        window.rng = self.rng
        zoom = self._zoom * scale * complex(math.cos(turn), math.sin(turn))
        window._place(self.rgb[top:bottom, left:right], zoom, middle - complex(left, top))
        return window

    # random choices

    def between(self, low: float, high: float) -> float:
        """Return a random number, uniform in [low, high)."""
        return float(self.rng.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """Return a random integer from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, options: Sequence[T]) -> T:
        """Return a random option."""
        return options[self.count(0, len(options) - 1)]

    def chance(self, share: float) -> bool:
        """Return True with probability `share`."""
        return float(self.rng.random()) < share

    def spots(self, number: int, gap: float, *, margin: float = 0.25) -> list[Point]:
        """Return up to `number` random points, `gap` apart and `margin` away from the edges."""
        places: list[complex] = []
        for _ in range(20 * number):  # enough tries to place nearly all; callers count the result
            x = self.between(margin, self.width - margin)
            place = complex(x, self.between(margin, 1 - margin))
            if len(places) < number and all(abs(place - other) > gap for other in places):
                places.append(place)
        return [(place.real, place.imag) for place in places]

    def vary(self, color: Color, spread: float = 0.05) -> Array:
        """Return the color with a small random change in brightness and hue."""
        shift = self.rng.uniform(-spread, spread) + self.rng.uniform(-spread, spread, 3) / 2
        return np.clip(rgb(color) + shift.astype(np.float32), 0, 1).astype(np.float32)

    def noise(self, across: float, down: float | None = None, *, octaves: int = 4) -> Array:
        """Return fractal value noise, float32 (h, w) in [0, 1].

        The first octave has `across` by `down` cells; each further octave has twice as many cells
        per axis and half the amplitude. Source: Perlin, "An Image Synthesizer", SIGGRAPH 1985
        (turbulence), on a lattice of values.
        """
        height, width = self.rgb.shape[:2]
        total = np.zeros((height, width), np.float32)
        for octave in range(octaves):
            cells = (
                min(math.ceil((across if down is None else down) * 2**octave) + 1, height + 1),
                min(math.ceil(across * 2**octave) + 1, width + 1),
            )
            lattice = Image.fromarray(self.rng.random(cells, np.float32))
            smooth = lattice.resize((width, height), Image.Resampling.BICUBIC)
            total += np.asarray(smooth) / np.float32(2**octave)
        low, high = float(total.min()), float(total.max())
        return np.asarray((total - low) / max(high - low, 1e-6), np.float32)

    def outline(self, cells: float, *, octaves: int = 4) -> Array:
        """Return one-dimensional noise along x, float32 (1, w) in [0, 1], for skylines."""
        strip = Canvas.__new__(Canvas)
        strip.rng, strip.rgb = self.rng, self.rgb[:1]
        return strip.noise(cells, 1, octaves=octaves)[:1]

    # shapes

    def inside(self, distance: Field, *, soft: float = 0.0) -> Array:
        """Return the mask of negative signed distances, with an edge of width `soft`."""
        edge = np.float32(max(soft, 1.2 * self.pixel))
        return np.asarray(np.clip(0.5 - distance / edge, 0, 1), np.float32)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float | None = None, *, soft: float = 0.0
    ) -> Array:
        """Return the mask of an axis-aligned ellipse, or of a circle if `ry` is None."""
        ry = rx if ry is None else ry
        reach = np.hypot((self.x - x) / rx, (self.y - y) / ry)
        return self.inside((reach - 1) * min(rx, ry), soft=soft)

    def glow(self, x: float, y: float, radius: float) -> Array:
        """Return the mask of a Gaussian spot: 1 at (x, y), 1/e at distance `radius`."""
        squared = (self.x - x) ** 2 + (self.y - y) ** 2
        return np.exp(-squared / np.float32(radius * radius)).astype(np.float32)

    def polygon(self, points: Sequence[Point]) -> Array:
        """Return the mask of a filled polygon."""
        return self._drawn(points, None)

    def stroke(self, points: Sequence[Point], thickness: float) -> Array:
        """Return the mask of an open polyline."""
        return self._drawn(points, max(thickness, self.pixel / 2))

    def _drawn(self, points: Sequence[Point], thickness: float | None) -> Array:
        height, width = self.rgb.shape[:2]
        sheet = Image.new("L", (width * _SUPERSAMPLED, height * _SUPERSAMPLED))
        spots = [(complex(*point) * self._zoom + self._origin) * _SUPERSAMPLED for point in points]
        path = [(spot.real, spot.imag) for spot in spots]
        if thickness is None:
            ImageDraw.Draw(sheet).polygon(path, fill=255)
        else:
            line = round(thickness * abs(self._zoom) * _SUPERSAMPLED)
            ImageDraw.Draw(sheet).line(path, fill=255, width=max(line, 1), joint="curve")
        return np.asarray(sheet.reduce(_SUPERSAMPLED), np.float32) / np.float32(255)

    # paint

    def paint(self, mask: Field | float, color: Color) -> None:
        """Paint a color over the pixels, with the mask as opacity."""
        self.rgb[:] = mix(self.rgb, color, mask)

    def light(self, mask: Field, color: Color) -> None:
        """Add colored light to the pixels, weighted by the mask."""
        self.rgb += (mask[..., None] * rgb(color)).astype(np.float32)

    def darken(self, mask: Field, strength: float) -> None:
        """Reduce the brightness by the share `strength`, weighted by the mask."""
        self.rgb *= (1 - mask[..., None] * np.float32(strength)).astype(np.float32)

    def blur(self, radius: float) -> None:
        """Blur everything painted so far with a Gaussian of this radius."""
        image = Image.fromarray(self.pixels())
        soft = image.filter(ImageFilter.GaussianBlur(radius / self.pixel))
        self.rgb[:] = np.asarray(soft, np.float32) / 255

    def relief(self, height: Field, turn: float, strength: float) -> Array:
        """Return the shading of a height map in [-1, 1], lit from the angle `turn` in radians."""
        down, across = np.gradient(height)
        slope = across * np.float32(math.cos(turn)) + down * np.float32(math.sin(turn))
        return np.asarray(np.clip(slope * (strength / self.pixel), -1, 1), np.float32)

    def develop(self) -> None:
        """Add random photographic effects: exposure, white balance, vignette and film grain."""
        self.rgb *= np.float32(self.between(0.86, 1.16))
        self.rgb *= self.rng.uniform(0.93, 1.07, 3).astype(np.float32)
        off_center = np.hypot(self.x - self.width / 2, self.y - 0.5)
        self.darken(ramp(off_center, 0.35, 1.0), self.between(0.1, 0.45))
        grain = self.rng.standard_normal(self.rgb.shape[:2], np.float32)
        self.rgb += grain[..., None] * np.float32(self.between(0.008, 0.025))

    def pixels(self) -> Pixels:
        """Return the picture as RGB, uint8 (h, w, 3)."""
        return np.rint(np.clip(self.rgb, 0, 1) * 255).astype(np.uint8)
