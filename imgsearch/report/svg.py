"""SVG charts for an HTML page: bars with intervals, points, a matrix, a map.

Colors come from the page's style, so they follow its light or dark scheme. Texts are escaped.
Numbers have at most three decimals, so charts are deterministic.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imgsearch.report.html import escape

_WIDTH: Final = 720
_ROW: Final = 26
_NAMES: Final = 150  # pixels for the names on the left
_GOLDEN: Final = 137.508  # degrees between consecutive hues (golden angle), so neighbors differ


@dataclass(frozen=True, slots=True)
class Bar:
    """A value in [0, 1] with the ends of its interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Point:
    """A named point. `about` is its tooltip."""

    name: str
    x: float
    y: float
    size: float = 1.0
    about: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """An image on a map: coordinates in [0, 1], color group, caption, tooltip and thumbnail."""

    x: float
    y: float
    group: int
    name: str
    about: str
    jpeg: bytes = b""


def bars(rows: Sequence[Bar], *, label: str) -> str:
    """Return a bar chart from 0 to 1. A line marks each bar's interval."""
    height = _ROW * len(rows) + 28
    room = _WIDTH - _NAMES - 70
    drawn = [_axis(room, height)]
    for number, bar in enumerate(rows):
        y = _ROW * number + 6
        middle = y + 7
        drawn.append(
            f"<g><title>{escape(bar.name)}: {bar.value:.3f} ({bar.low:.3f} to {bar.high:.3f})"
            f'</title><text x="{_NAMES - 10}" y="{y + 12}" text-anchor="end">{escape(bar.name)}'
            f'</text><rect class="bar" x="{_NAMES}" y="{y}" width="{bar.value * room:.1f}" '
            f'height="14" rx="3"/><line class="range" x1="{_NAMES + bar.low * room:.1f}" '
            f'x2="{_NAMES + bar.high * room:.1f}" y1="{middle}" y2="{middle}"/>'
            f'<text class="value" x="{_WIDTH - 60}" y="{y + 12}">{bar.value:.3f}</text></g>'
        )
    return _svg(_WIDTH, height, label, drawn)


def points(rows: Sequence[Point], *, x: str, y: str, label: str) -> str:
    """Return a scatter plot with a logarithmic x axis and a line through the best points.

    A point is one of the best if no other point is higher at the same or a larger x, or farther
    right at the same height.
    """
    width, height, left, bottom = _WIDTH, 360, 60, 310
    xs = [math.log10(max(point.x, 1e-9)) for point in rows]
    low, high = min(xs) - 0.2, max(xs) + 0.3
    top = max(max(point.y for point in rows) * 1.15, 1e-9)

    def at(place: float, value: float) -> tuple[float, float]:
        return (
            left + (place - low) / (high - low) * (width - left - 120),
            bottom - value / top * (bottom - 20),
        )

    best = sorted(
        (place, point.y)
        for place, point in zip(xs, rows, strict=True)
        if not any(
            (other_x > place and other.y >= point.y) or (other_x >= place and other.y > point.y)
            for other_x, other in zip(xs, rows, strict=True)
        )
    )
    line = " ".join("{:.1f},{:.1f}".format(*at(*pair)) for pair in best)
    drawn = [
        f'<line class="axis" x1="{left}" x2="{width - 20}" y1="{bottom}" y2="{bottom}"/>',
        f'<line class="axis" x1="{left}" x2="{left}" y1="10" y2="{bottom}"/>',
        f'<text x="{width - 20}" y="{bottom + 36}" text-anchor="end">{escape(x)} →</text>',
        f'<text x="{left}" y="{bottom + 36}">{escape(y)} ↑</text>',
        f'<polyline class="best" points="{line}"/>',
    ]
    steps = [
        step * 10**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for step in (1, 2, 5)
        if low <= math.log10(step * 10**power) <= high
    ]
    drawn += [
        f'<text class="tick" x="{at(math.log10(step), 0)[0]:.1f}" y="{bottom + 16}" '
        f'text-anchor="middle">{step:,g}</text>'
        for step in steps
    ]
    drawn += [
        f'<text class="tick" x="{left - 8}" y="{at(0, value)[1] + 4:.1f}" text-anchor="end">'
        f"{value:.2f}</text>"
        for value in (top * part / 4 for part in range(5))
    ]
    for place, point in zip(xs, rows, strict=True):
        across, down = at(place, point.y)
        drawn.append(
            f"<g><title>{escape(point.about or point.name)}</title>"
            f'<circle class="dot" cx="{across:.1f}" cy="{down:.1f}" r="{4 + 6 * point.size:.1f}"/>'
            f'<text x="{across + 14:.1f}" y="{down + 4:.1f}">{escape(point.name)}</text></g>'
        )
    return _svg(width, height, label, drawn)


def matrix(names: Sequence[str], cells: Sequence[Sequence[float]], *, label: str) -> str:
    """Return a square matrix of values in [0, 1], labeled with `names`. High values are darker."""
    side = max(4.0, min(26.0, 640 / max(1, len(names))))
    left = _NAMES if side > 9 else 10
    drawn = []
    for row, values in enumerate(cells):
        if side > 9:
            drawn.append(
                f'<text class="tick" x="{left - 6}" y="{(row + 0.5) * side + 4:.1f}" '
                f'text-anchor="end">{escape(names[row])}</text>'
            )
        drawn += [
            f'<rect class="cell" x="{left + column * side:.1f}" y="{row * side:.1f}" '
            f'width="{side - 0.5:.1f}" height="{side - 0.5:.1f}" fill-opacity="{value:.3f}">'
            f"<title>{escape(names[row])} → {escape(names[column])}: {value:.3f}</title></rect>"
            for column, value in enumerate(values)
            if value >= 0.0005
        ]
    size = side * len(names)
    frame = f'<rect class="frame" x="{left}" y="0" width="{size:.1f}" height="{size:.1f}"/>'
    return _svg(int(left + size) + 1, int(size) + 1, label, [frame, *drawn])


def embedding_map(places: Sequence[Place], *, label: str) -> str:
    """Return a map of images. The image with the pointer or keyboard focus is shown next to it."""
    height, side = 560, 150
    room = _WIDTH - side - 24
    drawn = [f'<rect class="frame" x="0" y="0" width="{room}" height="{height}"/>']
    for place in places:
        across, down = 12 + place.x * (room - 24), 12 + (1 - place.y) * (height - 24)
        hue = place.group * _GOLDEN % 360
        picture = ""
        if place.jpeg:
            data = base64.b64encode(place.jpeg).decode("ascii")
            picture = (
                f'<image x="{_WIDTH - side}" y="0" width="{side}" height="{side}" '
                f'href="data:image/jpeg;base64,{data}"/>'
            )
        drawn.append(
            f'<g class="place" tabindex="0"><title>{escape(place.about)}</title>'
            f'<circle cx="{across:.1f}" cy="{down:.1f}" r="4.5" '
            f'fill="hsl({hue:.0f} 65% 50%)"/>{picture}'
            f'<text x="{_WIDTH - side}" y="{side + 16}">{escape(place.name)}</text></g>'
        )
    return _svg(_WIDTH, height, label, drawn)


def _axis(room: float, height: float) -> str:
    drawn = []
    for part in (0, 0.25, 0.5, 0.75, 1):
        x = f"{_NAMES + part * room:.1f}"
        drawn.append(
            f'<line class="axis" x1="{x}" x2="{x}" y1="0" y2="{height - 20}"/>'
            f'<text class="tick" x="{x}" y="{height - 6}" text-anchor="middle">{part:g}</text>'
        )
    return "".join(drawn)


def _svg(width: int, height: float, label: str, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(drawn)}</svg>"
    )
