"""Alignment of two pictures: finds the affine map that overlays one on the other.

The search starts from mirror images, quarter turns, small rotations, and crops at several scales.
The best starts are refined from coarse to fine.

Source: Evangelidis, Psarakis, Parametric Image Alignment Using Enhanced Correlation Coefficient
Maximization, PAMI 30(10), 2008, and Baker, Matthews, Lucas-Kanade 20 Years On, IJCV 56(3), 2004,
for the forward compositional step. Cauchy weights reduce the influence of covered parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgsearch.evaluation.affine import (
    IDENTITY,
    Gray,
    Map,
    compose,
    edge_distance,
    extent,
    inside,
    invert,
    shrink,
    unit_coordinates,
    warp,
)

Sums = npt.NDArray[np.float64]

_START: Final = 32  # long edge in pixels at which starts are compared
_LEVELS: Final = ((16, 8), (32, 8), (64, 6), (128, 5), (256, 4), (512, 3))  # edge, steps
_REFINED: Final = 3  # starts that are refined
_ANGLES: Final = (-12.0, -6.0, 6.0, 12.0)  # degrees; refinement corrects about 5
_CROPS: Final = tuple(0.92**step for step in range(1, 15))  # shares of the larger edge, to 0.31
_NEAR_WHOLE: Final = 0.02  # largest deviation from the identity or a quarter turn
_GOOD: Final = 0.8  # correlation at 64 pixels from which crops are not tried
_SURE: Final = 0.95  # correlation at 64 pixels from which other starts are not tried
_LOST: Final = 0.5  # correlation below which refinement ends
_POINTS: Final = 12_000  # pixels used in one step, evenly spaced
_LEAST: Final = 8  # shortest edge of a template, in pixels


@dataclass(frozen=True, slots=True)
class Alignment:
    """The map from unit coordinates of the first picture to the second's, with its correlation.

    `correlation` is in [-1, 1] and covers the overlap of the pictures.
    """

    map: Map
    correlation: float


def align(one: Image.Image, other: Image.Image) -> list[Alignment]:
    """Return up to three alignments of two pictures (mode L); empty if none matches.

    Two are refined, one on the grid of each picture, because steps are less exact on the grid of
    the softer or the larger picture. The better one comes first. If it is nearly the identity, a
    quarter turn or a mirror image, that exact map precedes it, because interpolation blurs.
    """
    coarse = _best(one, other, _whole_starts(one, other), levels=_LEVELS[:3])
    if coarse.correlation < _GOOD:
        # refined on the inner picture's grid, because it lies entirely in the other; the level of
        # 16 pixels is skipped, because a crop would have too few of them
        inner = [(score, invert(map_)) for score, map_ in _crop_starts(other, one)]
        outer = [(score, invert(map_)) for score, map_ in _crop_starts(one, other)]
        back = _best(other, one, outer, levels=_LEVELS[1:3])
        coarse = max(
            coarse,
            _best(one, other, inner, levels=_LEVELS[1:3]),
            Alignment(invert(back.map), back.correlation),
            key=attrgetter("correlation"),
        )
    if coarse.correlation < _LOST:
        return []
    back = _refine(other, one, invert(coarse.map), _LEVELS[3:])
    alignments = [
        _refine(one, other, coarse.map, _LEVELS[3:]),
        Alignment(invert(back.map), back.correlation),
    ]
    alignments.sort(key=attrgetter("correlation"), reverse=True)
    best = alignments[0]
    whole = np.round(best.map)
    if np.abs(whole - best.map).max() < _NEAR_WHOLE and abs(np.linalg.det(whole[:, :2])) == 1:
        alignments.insert(0, Alignment(whole, best.correlation))
    return [alignment for alignment in alignments if alignment.correlation >= _LOST]


def correlation(one: Gray, other: Gray, weights: Gray | npt.NDArray[np.bool_]) -> float:
    """Return the weighted correlation of two arrays, or 0 if one of them is constant."""
    total = float(weights.sum())
    if total <= 0:
        return 0.0
    first = one - (one * weights).sum() / total
    second = other - (other * weights).sum() / total
    norm = float(np.sqrt((weights * first**2).sum() * (weights * second**2).sum()))
    return float((weights * first * second).sum()) / norm if norm > 0 else 0.0


def _scaled(size: tuple[int, int], edge: int) -> tuple[int, int]:
    """Scale a size in proportion so that its long edge has `edge` pixels."""
    factor = edge / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _best(
    one: Image.Image,
    other: Image.Image,
    starts: Sequence[tuple[float, Map]],
    *,
    levels: tuple[tuple[int, int], ...],
) -> Alignment:
    """Refine the starts with the highest correlations; return the best alignment."""
    best = Alignment(IDENTITY, -1.0)
    for _, map_ in _highest(starts):
        refined = _refine(one, other, map_, levels)
        best = max(best, refined, key=attrgetter("correlation"))
        if best.correlation >= _SURE:
            break
    return best


def _highest(starts: Sequence[tuple[float, Map]]) -> list[tuple[float, Map]]:
    """Return the starts with the highest correlations."""
    return sorted(starts, key=itemgetter(0), reverse=True)[:_REFINED]


def _whole_starts(one: Image.Image, other: Image.Image) -> list[tuple[float, Map]]:
    """Return maps between the whole pictures, with their correlations."""
    size = _scaled(one.size, _START)
    small = _gray(one.resize(size, Image.Resampling.BOX))
    second = other.resize(_scaled(other.size, _START), Image.Resampling.BOX)
    return [
        (correlation(small, _gray(warp(second, map_, size)), inside(map_, size)), map_)
        for map_ in _turns(one.size)
    ]


def _turns(size: tuple[int, int]) -> Iterator[Map]:
    """Yield the identity, small rotations, quarter turns and mirror images."""
    yield from _quarters()
    width, height = size
    for angle in np.radians(_ANGLES):
        cos, sin = np.cos(angle), np.sin(angle)
        yield np.array([[cos, sin * height / width, 0.0], [-sin * width / height, cos, 0.0]])


def _quarters() -> Iterator[Map]:
    """Yield the four quarter turns, plain and mirrored."""
    for mirrored in (1.0, -1.0):
        for turn in range(4):
            cos, sin = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[turn]
            yield np.array([[mirrored * cos, mirrored * sin, 0.0], [-sin, cos, 0.0]])


def _crop_starts(outer: Image.Image, inner: Image.Image) -> list[tuple[float, Map]]:
    """Return maps from `outer` to its possible crop `inner`, with their correlations."""
    size = _scaled(outer.size, 2 * _START)
    field = _gray(outer.resize(size, Image.Resampling.BOX))
    sums = _sums(field), _sums(field**2)
    starts = []
    for turn in _quarters():
        # under a quarter turn the inner picture's width lies along the outer picture's height
        turned = inner.size if turn[0, 0] else inner.size[::-1]
        fit = min(size[0] / turned[0], size[1] / turned[1])
        upright = warp(inner.convert("L"), turn, _scaled(turned, 4 * _START))
        for share in _CROPS:
            width, height = round(turned[0] * fit * share), round(turned[1] * fit * share)
            if min(width, height) < _LEAST:
                break
            template = _gray(upright.resize((width, height), Image.Resampling.BOX))
            score, x, y = _match(field, sums, template)
            scale = np.array([size[0] / width, size[1] / height])
            center = np.array([(x + width / 2) / size[0], (y + height / 2) / size[1]]) - 0.5
            starts.append(
                (score, compose(np.column_stack([np.diag(scale), -scale * center]), turn))
            )
    return _highest(starts)


def _match(field: Gray, sums: tuple[Sums, Sums], template: Gray) -> tuple[float, int, int]:
    """Return the highest correlation of a template within a field, and its position (x, y).

    Source: Lewis, Fast Normalized Cross-Correlation, 1995.
    """
    height, width = template.shape
    centered = template - template.mean()
    norm = float(np.sqrt((centered**2).sum()))
    if not norm:
        return 0.0, 0, 0
    spectrum = np.fft.rfft2(field) * np.conj(np.fft.rfft2(centered, s=field.shape))
    products = np.fft.irfft2(spectrum, s=field.shape)
    first, second = (
        table[height:, width:]
        - table[:-height, width:]
        - table[height:, :-width]
        + table[:-height, :-width]
        for table in sums
    )
    spread = np.sqrt(np.maximum(second - first**2 / template.size, 1.0))
    scores = products[: first.shape[0], : first.shape[1]] / (spread * norm)
    y, x = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(scores[y, x]), int(x), int(y)


def _sums(values: Gray) -> Sums:
    """Return the summed-area table, (height + 1, width + 1)."""
    return np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)


def _refine(
    one: Image.Image, other: Image.Image, start: Map, levels: tuple[tuple[int, int], ...]
) -> Alignment:
    """Refine an alignment from `start`, level by level."""
    alignment = Alignment(start, -1.0)
    for edge, steps in levels:
        alignment = _refine_level(one, other, alignment.map, edge, steps)
        if alignment.correlation < _LOST or edge >= max(one.size):
            break
    return alignment


def _refine_level(
    one: Image.Image, other: Image.Image, map_: Map, edge: int, steps: int
) -> Alignment:
    """Improve a map step by step at one resolution, with a long edge of `edge` pixels."""
    size = _scaled(one.size, min(edge, max(one.size)))
    gray = _gray(one.resize(size, Image.Resampling.BOX))
    second = shrink(other, extent(invert(map_), size))
    best = Alignment(map_, -1.0)
    for _ in range(steps + 1):
        laid = _gray(warp(second, map_, size))
        distance = edge_distance(map_, size)
        score = correlation(gray, laid, distance <= 0.5)
        if score > best.correlation:
            best = Alignment(map_, score)
        # near the second picture's edge, gradients measure the edge instead of the picture
        step = _step(gray, laid, distance <= 0.5 - 2.0 / max(second.size))
        if step is None:
            break
        map_ = compose(step, map_)
        if not 0.05 < abs(np.linalg.det(map_[:, :2])) < 20:
            break
    return best


def _step(one: Gray, laid: Gray, valid: npt.NDArray[np.bool_]) -> Map | None:
    """Return a small map that improves the alignment, or None if too few pixels overlap."""
    height, width = one.shape
    rows, columns = np.nonzero(valid)
    few = slice(None, None, max(1, len(rows) // _POINTS))
    rows, columns = rows[few], columns[few]
    if len(rows) < _POINTS // 400:
        return None
    u, v = unit_coordinates((width, height))
    u, v = u[0, columns], v[rows, 0]
    down, along = np.asarray(np.gradient(laid), dtype=np.float32)
    gx, gy = along[rows, columns] * width, down[rows, columns] * height
    ours, theirs = one[rows, columns], laid[rows, columns]
    jacobian: Gray = np.stack(
        [gx * u, gx * v, gx, gy * u, gy * v, gy, theirs, np.ones_like(u)], axis=-1
    )
    gain = _line(theirs, ours)
    residual = ours - gain[0] * theirs - gain[1]
    spread = 2.0 * float(np.median(np.abs(residual))) + 1.0
    weights = 1.0 / (1.0 + (residual / spread) ** 2)
    jacobian[:, :6] *= gain[0]
    weighted = jacobian * weights[:, None]
    # einsum, because BLAS threads wait for each other on products this small
    normal = np.einsum("ni,nj->ij", weighted, jacobian).astype(np.float64)
    normal[np.diag_indices(8)] *= 1.0 + 1e-4
    try:
        shift = np.linalg.solve(normal, np.einsum("ni,n->i", weighted, residual))
    except np.linalg.LinAlgError:
        return None
    step: Map = IDENTITY + np.clip(shift[:6], -0.25, 0.25).reshape(2, 3)
    return step


def _line(xs: Gray, ys: Gray) -> tuple[float, float]:
    """Return the slope and the offset of the least-squares line."""
    x, y = xs - xs.mean(), ys - ys.mean()
    spread = float((x * x).sum())
    slope = float((x * y).sum()) / spread if spread > 0 else 1.0
    return slope, float(ys.mean() - slope * xs.mean())


def _gray(picture: Image.Image) -> Gray:
    return np.asarray(picture, dtype=np.float32)
