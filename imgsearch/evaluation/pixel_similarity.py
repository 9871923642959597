"""Comparison of two images by their pixels: do they show the same picture?

No encoder is used. `compare` takes about 0.2 s per pair. It aligns two pictures of up to 1,024
pixels a side, matches brightness and sharpness, and compares them window by window. So two pages of
text, or two frames of a film, are different pictures.

The limits were calibrated on 10 photographs shipped with matplotlib, scikit-learn, Gradio and
Rust's documentation, on 20 COCO photographs, and on drawn pages, forms, screenshots, logos,
products and night scenes. Each was compared with its 14 changes, and with similar pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from imgsearch.evaluation.affine import (
    IDENTITY,
    Gray,
    Map,
    extent,
    geometry,
    inside,
    invert,
    shrink,
    shrink_in_proportion,
    warp,
)
from imgsearch.evaluation.alignment import align, correlation

EDGE: Final = 1_024  # long edge in pixels at which pictures are compared

_FLAT: Final = 6.0  # largest range of gray levels in a single-color picture
_TINY: Final = 16  # edge in pixels; smaller pictures have too few windows
_ALIGNED: Final = 0.6  # lowest correlation at which further alignments are compared
_OVERLAP: Final = 0.15  # lowest share of either picture; the middle half of each edge is 0.25
_EXTRA: Final = 0.004  # share of a picture with content outside the other; of a crop one has none
_INSIDE: Final = 0.99  # share of a crop inside the whole; alignment errors are about 0.3 pixels
_WHOLE: Final = 0.96  # overlapping share of each picture, required if aspect ratios differ
_STRETCH: Final = 1.04  # ratio of aspect ratios; rounding to 96 x 72 pixels changes it by 1 %
_SKEW: Final = 0.03  # cosine of the angle between the edges
_TURN: Final = 16.0  # largest deviation from a quarter turn, in degrees
_CONTENT: Final = 16.0  # gray levels from the median; a plain margin differs by less
_GAIN: Final = 2.2  # brightness ratio; that of brightness_160 is 1.6
_WHITE: Final = 0.3  # share of white background, on which a brighter object looks like a copy
_CLIPPED: Final = 0.3  # share of the area that clips to white in the brightened picture
_DETAIL: Final = 0.5  # lowest share of a picture's variance left at the other's sharpness
_LUMA: Final = 10.0  # error in gray levels in a plain window, as after JPEG of quality 10
_DIM: Final = 0.2  # the same limit in low-contrast pictures, in standard deviations
_CHROMA: Final = 20.0  # the same error in chroma, which JPEG stores at half the resolution
_TEXTURE: Final = 0.4  # error in standard deviations of a window, like a correlation of 0.92
_EVEN: Final = 2.8  # times the median error of textured windows; a changed part exceeds it
_MOST: Final = 1.8  # largest factor by which an even error raises the limits
_EXCESS: Final = 1.6  # times these limits; JPEG copies of photographs reach 1.4, a word 1.9
_SMALL: Final = 128  # long edge in pixels; limits fall below it, as letters blur into stripes
_BLURS: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0)  # pixels; `blur` is 1 % of an edge

Verdict = Literal["same", "different", "unclear"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on two pictures and its reason.

    "unclear" means that one picture has lost detail in which they might differ, or that a part
    differs slightly more than compression explains.
    """

    verdict: Verdict
    reason: str = ""


def compare(one: Image.Image, other: Image.Image) -> Comparison:
    """Compare two RGB pictures. All changes in `TRANSFORMS` except `text_bars` are tolerated.

    These are scale, aspect ratio, crops, margins, quarter turns, mirroring, rotation by up to about
    15 degrees, brightness, blur, compression and the loss of color. Covered parts are differences.
    """
    # the smaller one first, because it may be a part of the other
    first, second = sorted(map(_thumbnail, (one, other)), key=lambda image: np.prod(image.size))
    flat = _is_flat(first), _is_flat(second)
    if any(flat):
        return (
            _compare_flat(first, second) if all(flat) else Comparison("different", "one is plain")
        )
    if min(*first.size, *second.size) < _TINY:
        return _compare_tiny(first, second)
    comparisons = []
    for index, alignment in enumerate(align(first.convert("L"), second.convert("L"))):
        if index and alignment.correlation < _ALIGNED:
            break
        comparisons.append(_Overlay.of(first, second, alignment.map).compare())
        if comparisons[-1].verdict == "same":
            break
    comparisons.append(Comparison("different", "nothing in them matches"))
    order = "same", "unclear", "different"
    return min(comparisons, key=lambda comparison: order.index(comparison.verdict))


@dataclass(frozen=True)
class _Overlay:
    """Two aligned pictures on one grid, their originals, and the mask of pixels to compare."""

    first: Image.Image
    second: Image.Image
    valid: npt.NDArray[np.bool_]
    originals: tuple[Image.Image, Image.Image]
    maps: tuple[Map, Map]

    @classmethod
    def of(cls, first: Image.Image, second: Image.Image, map_: Map) -> "_Overlay":
        """Overlay the second picture on the first, at the lower of both resolutions."""
        back = invert(map_)
        own, theirs = first, second
        stretch, _, _ = geometry(map_, first.size, second.size)
        if stretch > _STRETCH:  # a stretched picture has more pixels, not more detail
            own = shrink_in_proportion(first, extent(map_, second.size))
            theirs = shrink_in_proportion(second, extent(back, first.size))
        own = shrink(own, extent(map_, theirs.size))
        theirs = shrink(theirs, extent(back, own.size))
        # near the edges of both, resampling mixed a rotated picture with its surroundings
        valid = inside(map_, own.size, margin=1.5 / max(theirs.size))
        valid &= inside(IDENTITY, own.size, margin=1.5 / max(own.size))
        laid = warp(theirs, map_, own.size)
        return cls(own, laid, valid, (first, second), (map_, back))

    def compare(self) -> Comparison:
        if min(self.valid.shape) < _TINY or not self._is_known_change():
            return Comparison("different", "each shows a part that the other does not")
        gain = self._gain()
        if not 1 / _GAIN <= gain <= _GAIN:
            return Comparison("different", "brightness differs")
        pair = _brightened(self.first, gain), _brightened(self.second, 1 / gain)
        pair = _match_sharpness(pair, self.valid)
        comparison = self._compare_windows(pair)
        if comparison.verdict != "same":
            return comparison
        if self._lacks_detail(pair, gain) or self._may_hide_object(pair, gain):
            return Comparison("unclear", "too little detail in one of them")
        return Comparison("same")

    def _is_known_change(self) -> bool:
        """Return whether the map between the pictures is a known change.

        Without this check an object on a plain background would match any object of its shape: a
        ball that moves in a film, or an ellipse and a circle.
        """
        inner, extra = [], []
        for picture, map_ in zip(self.originals, self.maps, strict=True):
            beside = ~inside(map_, picture.size, margin=-2.0 / max(picture.size))
            rest = _gray(picture)[beside]
            content = np.abs(rest - np.median(rest)) > _CONTENT if rest.size else rest
            inner.append(1 - float(beside.mean()))
            extra.append(float(content.sum()) / beside.size)
        stretch, skew, turn = geometry(self.maps[0], self.originals[0].size, self.originals[1].size)
        if min(inner) < _OVERLAP or min(extra) > _EXTRA or skew > _SKEW or turn > _TURN:
            return False
        if stretch > _STRETCH:  # only whole pictures are stretched
            return min(inner) > _WHOLE
        # a crop lies inside the other picture; a rotated picture has plain corners instead
        return max(inner) > _INSIDE or turn > 2

    def _gain(self) -> float:
        """Return the median brightness ratio, second to first, without black or white pixels."""
        pair = self.first, self.second
        brightest = np.maximum(*(np.asarray(picture).max(axis=2) for picture in pair))
        one, other = (_gray(picture) for picture in pair)  # the luma, which a gray copy keeps
        # a channel clipped at 255 would lower the ratio
        middle = self.valid & (np.minimum(one, other) > 20) & (brightest < 250)
        if middle.sum() < _TINY:
            return 1.0
        gain = float(np.median(other[middle] / one[middle]))
        return 1.0 if abs(gain - 1) < 0.04 else gain  # JPEG alone shifts the mean by 0.04

    def _may_hide_object(self, pair: Sequence[Image.Image], gain: float) -> bool:
        """Return whether an object of another shade may look like a brighter or a gray copy.

        This can happen on a white background, because white stays white under both changes.
        """
        first_is_gray, second_is_gray = (_is_gray(_chroma(picture), self.valid) for picture in pair)
        if abs(gain - 1) < 0.1 and first_is_gray == second_is_gray:
            return False
        before = [_gray(picture)[self.valid] for picture in (self.first, self.second)]
        darker = before[0 if gain > 1 else 1]
        white = (np.minimum(*before) >= 250).mean()
        clipped = ((darker * max(gain, 1 / gain) >= 254) & (darker < 250)).mean()
        return bool(white > _WHITE or clipped > _CLIPPED)

    def _lacks_detail(self, pair: Sequence[Image.Image], gain: float) -> bool:
        """Return whether a picture loses most detail at the other's resolution and sharpness."""
        for matched, picture, map_, factor in zip(
            pair, self.originals, self.maps, (gain, 1 / gain), strict=True
        ):
            whole = _gray(_brightened(picture, factor))[inside(map_, picture.size)]
            if float(_gray(matched)[self.valid].var()) < _DETAIL * float(whole.var()):
                return True
        return False

    def _compare_windows(self, pair: Sequence[Image.Image]) -> Comparison:
        """Compare the pictures window by window, in gray levels and in color."""
        one, other = _gray(pair[0]), _gray(pair[1])
        spread = min(float(gray[self.valid].std()) for gray in (one, other))
        edge = max(self.first.size)
        window = max(8 if edge > 256 else 6, 2 * (edge // 128))
        errors, texture = _errors([(one, other)], self.valid, window, min(_LUMA, _DIM * spread))
        parts = _judge(errors * max(1.0, _SMALL / edge), texture, "a part differs")
        chroma = [_chroma(picture) for picture in pair]
        if parts.verdict == "different" or any(_is_gray(planes, self.valid) for planes in chroma):
            return parts
        planes = list(zip(*chroma, strict=True))
        errors, texture = _errors(planes, self.valid, window, _CHROMA)
        colors = _judge(errors, texture, "a part has another color")
        return parts if colors.verdict == "same" else colors


def _errors(
    planes: list[tuple[Gray, Gray]], valid: npt.NDArray[np.bool_], window: int, plain: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return each window's error divided by its limit, and whether its texture exceeds `plain`.

    The limit is the root of the sum of two squares: `plain`, and a share of the window's standard
    deviation, because resampling reproduces no edge exactly.
    """
    share = _means(valid.astype(np.float32), window)
    used = share > 0.4
    squares = np.zeros(share.shape)
    spread = np.zeros(share.shape)
    for one, other in planes:
        squares += _means(np.where(valid, one - other, 0) ** 2, window)
        variances = []
        for values in (one, other):
            inner = np.where(valid, values, 0)
            mean = _means(inner, window) / np.maximum(share, 0.1)
            variances.append(_means(inner**2, window) / np.maximum(share, 0.1) - mean**2)
        spread += np.maximum(np.maximum(*variances), 0)
    limits = np.sqrt(plain**2 + _TEXTURE**2 * spread[used]) + 1e-6
    errors = np.sqrt(np.maximum(squares[used] / share[used], 0)) / limits
    return errors, np.sqrt(spread[used]) > plain


def _judge(
    errors: npt.NDArray[np.float64], texture: npt.NDArray[np.bool_], reason: str
) -> Comparison:
    """Return "different" if a window's error is far too high, "unclear" if slightly too high.

    The limit grows with the median error, because compression and blur affect all windows alike.
    """
    if not errors.size:
        return Comparison("different", reason)
    usual = float(np.median(errors[texture])) if texture.any() else 0.0
    excess = float(errors.max()) / min(_MOST, max(1.0, _EVEN * usual))
    if excess > _EXCESS:
        return Comparison("different", reason)
    return Comparison("unclear", f"perhaps {reason}") if excess > 1 else Comparison("same")


def _means(values: npt.NDArray[np.float32], window: int) -> npt.NDArray[np.float32]:
    """Return the means of square windows that overlap by half, padded with zeros."""
    cell = window // 2
    height, width = (-(-edge // cell) * cell for edge in values.shape)
    padded = np.zeros((height, width), dtype=np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    cells: Gray = padded.reshape(height // cell, cell, width // cell, cell).mean(axis=(1, 3))
    sums: Gray = cells[1:, 1:] + cells[:-1, 1:] + cells[1:, :-1] + cells[:-1, :-1]
    return (sums / 4).astype(np.float32)


def _match_sharpness(
    pair: tuple[Image.Image, Image.Image], valid: npt.NDArray[np.bool_]
) -> tuple[Image.Image, Image.Image]:
    """Return both pictures, with the sharper one blurred until it is most like the other."""
    one, other = map(_gray, pair)
    if _energy(one, valid) >= _energy(other, valid):
        return _blur_to(pair[0], other, valid), pair[1]
    return pair[0], _blur_to(pair[1], one, valid)


def _blur_to(sharp: Image.Image, soft: Gray, valid: npt.NDArray[np.bool_]) -> Image.Image:
    """Return `sharp` with the Gaussian blur that minimizes the squared error to `soft`."""
    gray, best = sharp.convert("L"), 0.0
    least = float(((_gray(gray) - soft)[valid] ** 2).mean())
    for radius in _BLURS:
        blurred = _gray(gray.filter(ImageFilter.GaussianBlur(radius)))
        error = float(((blurred - soft)[valid] ** 2).mean())
        if error >= least:
            break
        best, least = radius, error
    return sharp.filter(ImageFilter.GaussianBlur(best)) if best else sharp


def _energy(gray: Gray, valid: npt.NDArray[np.bool_]) -> float:
    """Return the mean squared difference of neighboring pixels."""
    return float((np.diff(gray, axis=1)[valid[:, 1:] & valid[:, :-1]] ** 2).mean())


def _brightened(picture: Image.Image, factor: float) -> Image.Image:
    """Multiply a picture's values by `factor` if it is above 1. Values are clipped at 255."""
    return picture.point(lambda value: value * factor) if factor > 1 else picture


def _chroma(picture: Image.Image) -> tuple[Gray, Gray]:
    _, blue, red = picture.convert("YCbCr").split()
    return _gray(blue) - 128, _gray(red) - 128


def _is_gray(chroma: tuple[Gray, Gray], valid: npt.NDArray[np.bool_]) -> bool:
    strength = np.maximum(*map(np.abs, chroma))[valid]
    return float(np.quantile(strength, 0.99)) <= _FLAT


def _is_flat(picture: Image.Image) -> bool:
    """Return whether a picture has a single color."""
    small = picture.filter(ImageFilter.BoxBlur(1)) if min(picture.size) > _TINY else picture
    extrema = small.getextrema()
    return all(float(high) - float(low) <= _FLAT for low, high in extrema)  # type: ignore[misc]


def _compare_flat(first: Image.Image, second: Image.Image) -> Comparison:
    one, other = (np.asarray(picture, np.float64).mean(axis=(0, 1)) for picture in (first, second))
    if np.abs(one - other).max() <= _FLAT:
        return Comparison("same")
    return Comparison("different", "a part has another color")


def _compare_tiny(first: Image.Image, second: Image.Image) -> Comparison:
    """Compare two pictures without alignment, because one is too small for it."""
    size = min(first.width, second.width), min(first.height, second.height)
    one, other = (
        np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32).ravel()
        for picture in (first, second)
    )
    if correlation(one, other, np.ones_like(one)) < 0.8:
        return Comparison("different", "a part differs")
    close = first.size == second.size and np.abs(one - other).max() <= _CONTENT
    return Comparison("same") if close else Comparison("unclear", "too few pixels")


def _thumbnail(picture: Image.Image) -> Image.Image:
    copy = picture.copy()
    copy.thumbnail((EDGE, EDGE))
    return copy


def _gray(picture: Image.Image) -> Gray:
    return np.asarray(picture.convert("L"), dtype=np.float32)
