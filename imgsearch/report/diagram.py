"""Workflow diagrams: steps as boxes with arrows, for notebooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

from imgsearch.errors import ConfigError
from imgsearch.report.html import escape

_LETTER: Final = 7.5  # width of a character in pixels, at most, at a font size of 13
_LINE: Final = 17  # height of a line of text in pixels
_PAD: Final = 10  # between a text and its box
_GAP: Final = 56  # between two columns: an arrow and its label
_ROW: Final = 78  # from one row to the next
_TEAL: Final = "#00897b"  # readable on light and dark pages
_HEAD: Final = (
    '<defs><marker id="imgsearch-head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
    f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{_TEAL}"/></marker></defs>'
)


@dataclass(frozen=True, slots=True)
class Diagram:
    """A picture as SVG, which notebooks show."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float
    height: float

    @classmethod
    def around(cls, name: str, x: float, y: float) -> Self:
        lines = name.split("\n")
        return cls(x, y, max(map(len, lines)) * _LETTER + 2 * _PAD, len(lines) * _LINE + 2 * _PAD)

    def edge(self, to: "_Box") -> tuple[float, float]:
        """Return where the line from the middle of this box to the middle of another leaves it."""
        dx, dy = to.x - self.x, to.y - self.y
        part = 0.5 / max(abs(dx) / self.width, abs(dy) / self.height)
        return self.x + part * dx, self.y + part * dy


def workflow(
    *ways: Sequence[str],
    labels: Mapping[tuple[str, str], str] | None = None,
    arrows: Sequence[tuple[str, str]] = (),
) -> Diagram:
    """Return a diagram of one or more ways, each a list of steps from left to right.

    A step with the same name in several ways is one box, in the middle of their rows, so the ways
    meet there. A line break in a name divides its text.

    Args:
        ways: the names of the steps of each way, from the upper row down.
        labels: texts over the arrow from one step to the next, by the two names.
        arrows: more arrows, as pairs of names.

    Raises:
        ConfigError: there is no step, or an arrow or a label names an unknown step.

    >>> from imgsearch.report.diagram import workflow
    >>> diagram = workflow(["image", "vector", "hits"], ["text", "vector", "hits"])
    >>> diagram.svg.count("<rect"), diagram.svg.count('class="arrow"')
    (4, 3)
    """
    pairs = list(dict.fromkeys([*(pair for way in ways for pair in pairwise(way)), *arrows]))
    columns, rows = _cells(ways)
    _check(columns, [*pairs, *(labels or {})])
    middles, width = _middles(columns)
    boxes = {
        name: _Box.around(name, middles[column], (sum(rows[name]) / len(rows[name]) + 0.5) * _ROW)
        for name, column in columns.items()
    }
    drawn = [_arrow(boxes[start], boxes[end]) for start, end in pairs]
    drawn += [_label(boxes[pair[0]], boxes[pair[1]], text) for pair, text in (labels or {}).items()]
    drawn += [_box(name, box) for name, box in boxes.items()]
    words = "; ".join(" → ".join(" ".join(name.split()) for name in way) for way in ways)
    return Diagram(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {len(ways) * _ROW}" '
        f'width="{width:.0f}" style="max-width:100%" role="img" aria-label="{escape(words)}">'
        f'{_HEAD}<g font-family="sans-serif" font-size="13" text-anchor="middle">'
        f"{''.join(drawn)}</g></svg>"
    )


def _cells(ways: Sequence[Sequence[str]]) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Return the column of each step, where it is first named, and the rows that name it."""
    columns: dict[str, int] = {}
    rows: dict[str, list[int]] = {}
    for row, way in enumerate(ways):
        for column, name in enumerate(way):
            columns.setdefault(name, column)
            rows.setdefault(name, []).append(row)
    return columns, rows


def _check(columns: Mapping[str, int], pairs: Sequence[tuple[str, str]]) -> None:
    if not columns:
        raise ConfigError("cannot draw a workflow without a step")
    if unknown := [name for pair in pairs for name in pair if name not in columns]:
        raise ConfigError(f"no step is called {unknown[0]!r}. The steps are: {', '.join(columns)}")


def _middles(columns: Mapping[str, int]) -> tuple[list[float], float]:
    """Return the middle of each column, and the width of the picture, in pixels."""
    middles, left = [], 1.0
    for column in range(max(columns.values()) + 1):
        names = [name for name, place in columns.items() if place == column]
        width = max(_Box.around(name, 0, 0).width for name in names)
        middles.append(left + width / 2)
        left += width + _GAP
    return middles, left - _GAP + 1


def _arrow(start: _Box, end: _Box) -> str:
    (x1, y1), (x2, y2) = start.edge(end), end.edge(start)
    return (
        f'<path class="arrow" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{_TEAL}" '
        'marker-end="url(#imgsearch-head)"/>'
    )


def _label(start: _Box, end: _Box, text: str) -> str:
    (x1, y1), (x2, y2) = start.edge(end), end.edge(start)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2 - 6
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_TEAL}">{escape(text)}</text>'


def _box(name: str, box: _Box) -> str:
    lines = name.split("\n")
    first = box.y + 5 - (len(lines) - 1) * _LINE / 2
    texts = "".join(
        f'<text x="{box.x:.1f}" y="{first + place * _LINE:.1f}">{escape(line)}</text>'
        for place, line in enumerate(lines)
    )
    return (
        f'<rect x="{box.x - box.width / 2:.1f}" y="{box.y - box.height / 2:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" rx="6" fill="#fff" '
        f'stroke="{_TEAL}"/>{texts}'
    )
