"""Alignment of two pictures: the affine map that lays one over the other.

A map is float64 (2, 3): it takes unit coordinates of one picture, -0.5 to 0.5 from edge to edge, to
those of another, so that it is the same at every resolution and a stretched picture is the
identity. The search starts from mirror images, quarter turns, small rotations, and crops at several
scales, and refines the best of these from coarse to fine.

Source: Evangelidis, Psarakis, Parametric Image Alignment Using Enhanced Correlation Coefficient
Maximization, PAMI 30(10), 2008, and Baker, Matthews, Lucas-Kanade 20 Years On, IJCV 56(3), 2004,
for the forward compositional step; here with Cauchy weights against what covers a part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.float32]
Map = npt.NDArray[np.float64]
Sums = npt.NDArray[np.float64]

IDENTITY: Final[Map] = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

_START: Final = 32  # pixels of the long edge where starts are compared
_LEVELS: Final = ((16, 8), (32, 8), (64, 6), (128, 5), (256, 4), (512, 3))  # edge, steps
_REFINED: Final = 3  # starts that are refined
_ANGLES: Final = (-12.0, -6.0, 6.0, 12.0)  # degrees; a step's reach is some 5
_CROPS: Final = tuple(0.92**step for step in range(1, 15))  # of the larger picture's edge: to 0.31
_NEAR_WHOLE: Final = 0.02  # of an edge: a map that may be the identity or a quarter turn
_GOOD: Final = 0.8  # correlation at 64 pixels that makes crops not worth a look
_SURE: Final = 0.95  # likewise, other starts
_LOST: Final = 0.5  # correlation below which refinement ends
_POINTS: Final = 12_000  # pixels that decide a step
_LEAST: Final = 8  # pixels of an edge below which nothing is searched inside a picture


@dataclass(frozen=True, slots=True)
class Alignment:
    """`map` takes unit coordinates of the first picture to the second's.

    `correlation` is that of the pictures where they overlap, in [-1, 1].
    """

    map: Map
    correlation: float


def align(one: Image.Image, other: Image.Image) -> list[Alignment]:
    """Return the alignments of two pictures of mode L that are worth a closer look, best first.

    There are up to three: refined on the grid of either picture, as a step sees less on that of the
    softer or the larger one; and without any shift, as interpolation between pixels blurs. There is
    none where nothing matches.
    """
    coarse = _best(one, other, _turned(one, other), levels=_LEVELS[:3])
    if coarse.correlation < _GOOD:
        # on the grid of the inner picture, as all of that lies in the other; and with 16 pixels a
        # part would have too few
        inner = [(score, inverse(map_)) for score, map_ in _crops(other, one)]
        outer = [(score, inverse(map_)) for score, map_ in _crops(one, other)]
        back = _best(other, one, outer, levels=_LEVELS[1:3])
        coarse = max(
            coarse,
            _best(one, other, inner, levels=_LEVELS[1:3]),
            Alignment(inverse(back.map), back.correlation),
            key=lambda each: each.correlation,
        )
    if coarse.correlation < _LOST:
        return []
    found = [_refined(one, other, coarse.map, _LEVELS[3:])]
    back = _refined(other, one, inverse(coarse.map), _LEVELS[3:])
    found.append(Alignment(inverse(back.map), back.correlation))
    found.sort(key=lambda each: -each.correlation)
    whole = np.round(found[0].map)
    if np.abs(whole - found[0].map).max() < _NEAR_WHOLE and abs(np.linalg.det(whole[:, :2])) == 1:
        found.insert(0, Alignment(whole, found[0].correlation))
    return [each for each in found if each.correlation >= _LOST]


def warped(picture: Image.Image, map_: Map, size: tuple[int, int]) -> Image.Image:
    """Return a picture, of mode F, L or RGB, as it lies under a grid of `size` pixels."""
    (width, height), (own_width, own_height) = size, picture.size
    (a, b, c), (d, e, f) = map_
    matrix = (
        own_width * a / width,
        own_width * b / height,
        own_width * (c + 0.5 - a / 2 - b / 2),
        own_height * d / width,
        own_height * e / height,
        own_height * (f + 0.5 - d / 2 - e / 2),
    )
    return picture.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def inside(map_: Map, size: tuple[int, int], *, margin: float = 0.0) -> npt.NDArray[np.bool_]:
    """Return which pixels of a grid of `size` lie inside the other picture, (height, width)."""
    return np.asarray(_reach(map_, size) <= 0.5 - margin)


def _reach(map_: Map, size: tuple[int, int]) -> Grey:
    """Return how far from the other picture's centre pixels lie, in its half edges' unit."""
    u, v = units(size)
    matrix = map_.astype(np.float32)
    x = matrix[0, 0] * u + matrix[0, 1] * v + matrix[0, 2]
    y = matrix[1, 0] * u + matrix[1, 1] * v + matrix[1, 2]
    reach: Grey = np.maximum(np.abs(x), np.abs(y))
    return reach


def units(size: tuple[int, int]) -> tuple[Grey, Grey]:
    """Return the unit coordinates of a grid's pixels: (1, width) and (height, 1)."""
    along, down = (((np.arange(edge) + 0.5) / edge - 0.5).astype(np.float32) for edge in size)
    return along[None, :], down[:, None]


def inverse(map_: Map) -> Map:
    """Return the map back."""
    matrix = np.linalg.inv(map_[:, :2])
    return np.column_stack([matrix, -matrix @ map_[:, 2]])


def composed(first: Map, second: Map) -> Map:
    """Return the map that applies `first`, then `second`."""
    return np.column_stack(
        [second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]]
    )


def extent(map_: Map, size: tuple[int, int]) -> tuple[float, float]:
    """Return the edges of the mapped picture in pixels of the other, which has `size`."""
    edges = map_[:, :2] * np.array(size, dtype=np.float64)[:, None]
    width, height = np.hypot(edges[0], edges[1])
    return float(width), float(height)


def geometry(
    map_: Map, size: tuple[int, int], other: tuple[int, int]
) -> tuple[float, float, float]:
    """Return how a map changes a picture of `size` to one of the `other` size, in pixels.

    These are the ratio of its scales along width and height, at least 1; the skew, the cosine of
    the angle between its edges; and the degrees to the nearest quarter turn.
    """
    pixels = np.array(other)[:, None] * map_[:, :2] / np.array(size)[None, :]
    width, height = np.hypot(pixels[0], pixels[1])
    skew = float(abs(pixels[:, 0] @ pixels[:, 1]) / (width * height))
    angle = float(np.degrees(np.arctan2(pixels[1, 0], pixels[0, 0]))) % 90
    return float(max(width / height, height / width)), skew, min(angle, 90 - angle)


def correlation(one: Grey, other: Grey, weights: Grey | npt.NDArray[np.bool_]) -> float:
    """Return the weighted correlation of two arrays, 0 where one is of one value."""
    total = float(weights.sum())
    if total <= 0:
        return 0.0
    first = one - (one * weights).sum() / total
    second = other - (other * weights).sum() / total
    norm = float(np.sqrt((weights * first**2).sum() * (weights * second**2).sum()))
    return float((weights * first * second).sum()) / norm if norm > 0 else 0.0


def scaled(size: tuple[int, int], edge: int) -> tuple[int, int]:
    """Return a size with this long edge."""
    factor = edge / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _best(
    one: Image.Image,
    other: Image.Image,
    starts: Sequence[tuple[float, Map]],
    *,
    levels: tuple[tuple[int, int], ...],
) -> Alignment:
    """Return the best coarse alignment that the most promising starts lead to."""
    first = sorted(starts, key=lambda each: -each[0])[:_REFINED]
    found = Alignment(IDENTITY, -1.0)
    for _, map_ in first:
        refined = _refined(one, other, map_, levels)
        found = max(found, refined, key=lambda each: each.correlation)
        if found.correlation >= _SURE:
            break
    return found


def _turned(one: Image.Image, other: Image.Image) -> list[tuple[float, Map]]:
    """Return the maps from the whole picture to the whole, with their correlations."""
    size = scaled(one.size, _START)
    small = _grey(one.resize(size, Image.Resampling.BOX))
    second = other.resize(scaled(other.size, _START), Image.Resampling.BOX)
    return [
        (correlation(small, _grey(warped(second, map_, size)), inside(map_, size)), map_)
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
    for mirrored in (1.0, -1.0):
        for turn in range(4):
            cos, sin = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[turn]
            yield np.array([[mirrored * cos, mirrored * sin, 0.0], [-sin, cos, 0.0]])


def _crops(outer: Image.Image, inner: Image.Image) -> list[tuple[float, Map]]:
    """Return maps from `outer` to an `inner` that is a part of it, with their correlations."""
    size = scaled(outer.size, 2 * _START)
    field = _grey(outer.resize(size, Image.Resampling.BOX))
    sums = _sums(field), _sums(field**2)
    found = []
    for turn in _quarters():
        # of a quarter turn the inner picture's width lies along the outer's height
        turned = inner.size if turn[0, 0] else inner.size[::-1]
        fit = min(size[0] / turned[0], size[1] / turned[1])
        upright = warped(inner.convert("L"), turn, scaled(turned, 4 * _START))
        for share in _CROPS:
            width, height = round(turned[0] * fit * share), round(turned[1] * fit * share)
            if min(width, height) < _LEAST:
                break
            template = _grey(upright.resize((width, height), Image.Resampling.BOX))
            score, x, y = _match(field, sums, template)
            scale = np.array([size[0] / width, size[1] / height])
            centre = np.array([(x + width / 2) / size[0], (y + height / 2) / size[1]]) - 0.5
            found.append(
                (score, composed(np.column_stack([np.diag(scale), -scale * centre]), turn))
            )
    return sorted(found, key=lambda each: -each[0])[:_REFINED]


def _match(field: Grey, sums: tuple[Sums, Sums], template: Grey) -> tuple[float, int, int]:
    """Return the highest correlation of a template inside a field, and where it lies: x, y.

    Source: Lewis, Fast Normalized Cross-Correlation, 1995.
    """
    height, width = template.shape
    centred = template - template.mean()
    norm = float(np.sqrt((centred**2).sum()))
    if not norm:
        return 0.0, 0, 0
    spectrum = np.fft.rfft2(field) * np.conj(np.fft.rfft2(centred, s=field.shape))
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


def _sums(values: Grey) -> Sums:
    """Return the sums of all rectangles from the top left corner, (height + 1, width + 1)."""
    return np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)


def _refined(
    one: Image.Image, other: Image.Image, start: Map, levels: tuple[tuple[int, int], ...]
) -> Alignment:
    """Return the alignment that is reached from `start`, coarse to fine."""
    found = Alignment(start, -1.0)
    for edge, steps in levels:
        found = _level(one, other, found.map, edge, steps)
        if found.correlation < _LOST or edge >= max(one.size):
            break
    return found


def _level(one: Image.Image, other: Image.Image, map_: Map, edge: int, steps: int) -> Alignment:
    size = scaled(one.size, min(edge, max(one.size)))
    grey = _grey(one.resize(size, Image.Resampling.BOX))
    second = reduced(other, extent(inverse(map_), size))
    best = Alignment(map_, -1.0)
    for _ in range(steps + 1):
        laid = _grey(warped(second, map_, size))
        reach = _reach(map_, size)
        score = correlation(grey, laid, reach <= 0.5)
        if score > best.correlation:
            best = Alignment(map_, score)
        # beside the edge of the second picture gradients are those of the edge
        step = _step(grey, laid, reach <= 0.5 - 2.0 / max(second.size))
        if step is None:
            break
        map_ = composed(step, map_)
        if not 0.05 < abs(np.linalg.det(map_[:, :2])) < 20:
            break
    return best


def _step(one: Grey, laid: Grey, there: npt.NDArray[np.bool_]) -> Map | None:
    """Return the small map that lays the second picture better, None where nothing tells."""
    height, width = one.shape
    rows, places = np.nonzero(there)
    few = slice(None, None, max(1, len(rows) // _POINTS))
    rows, places = rows[few], places[few]
    if len(rows) < _POINTS // 400:
        return None
    u, v = units((width, height))
    u, v = u[0, places], v[rows, 0]
    down, along = np.asarray(np.gradient(laid), dtype=np.float32)
    gx, gy = along[rows, places] * width, down[rows, places] * height
    ours, theirs = one[rows, places], laid[rows, places]
    columns: Grey = np.stack(
        [gx * u, gx * v, gx, gy * u, gy * v, gy, theirs, np.ones_like(u)], axis=-1
    )
    gain = _line(theirs, ours)
    residual = ours - gain[0] * theirs - gain[1]
    spread = 2.0 * float(np.median(np.abs(residual))) + 1.0
    weights = 1.0 / (1.0 + (residual / spread) ** 2)
    columns[:, :6] *= gain[0]
    weighted = columns * weights[:, None]
    # einsum, as BLAS threads of so small products wait for each other
    normal = np.einsum("ni,nj->ij", weighted, columns).astype(np.float64)
    normal[np.diag_indices(8)] *= 1.0 + 1e-4
    try:
        shift = np.linalg.solve(normal, np.einsum("ni,n->i", weighted, residual))
    except np.linalg.LinAlgError:
        return None
    step: Map = IDENTITY + np.clip(shift[:6], -0.25, 0.25).reshape(2, 3)
    return step


def _line(xs: Grey, ys: Grey) -> tuple[float, float]:
    """Return slope and offset of the straight line through the points."""
    x, y = xs - xs.mean(), ys - ys.mean()
    spread = float((x * x).sum())
    slope = float((x * y).sum()) / spread if spread > 0 else 1.0
    return slope, float(ys.mean() - slope * xs.mean())


def reduced(picture: Image.Image, extents: tuple[float, float]) -> Image.Image:
    """Return a picture shrunk to about so many pixels, never enlarged."""
    size = (
        max(1, min(picture.width, round(extents[0]))),
        max(1, min(picture.height, round(extents[1]))),
    )
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)


def _grey(picture: Image.Image) -> Grey:
    return np.asarray(picture, dtype=np.float32)
