"""Affine maps between two pictures: inversion, composition, geometry and resampling.

A map is float64 (2, 3). It takes unit coordinates of one picture, -0.5 to 0.5 from edge to edge, to
unit coordinates of another. So a map is valid at every resolution, and a change of aspect ratio
alone is the identity.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Gray = npt.NDArray[np.float32]
Map = npt.NDArray[np.float64]

IDENTITY: Final[Map] = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def invert(map_: Map) -> Map:
    """Return the inverse map."""
    matrix = np.linalg.inv(map_[:, :2])
    return np.column_stack([matrix, -matrix @ map_[:, 2]])


def compose(first: Map, second: Map) -> Map:
    """Return the map that applies `first`, then `second`."""
    return np.column_stack(
        [second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]]
    )


def extent(map_: Map, size: tuple[int, int]) -> tuple[float, float]:
    """Return the edge lengths of the mapped picture, in pixels of a target picture of `size`."""
    edges = map_[:, :2] * np.array(size, dtype=np.float64)[:, None]
    width, height = np.hypot(edges[0], edges[1])
    return float(width), float(height)


def geometry(
    map_: Map, size: tuple[int, int], other: tuple[int, int]
) -> tuple[float, float, float]:
    """Return the stretch, skew and turn of a map between pictures of sizes `size` and `other`.

    The stretch is the ratio of the scales along width and height, at least 1. The skew is the
    cosine of the angle between the edges. The turn is in degrees from the nearest quarter turn.
    """
    pixels = np.array(other)[:, None] * map_[:, :2] / np.array(size)[None, :]
    width, height = np.hypot(pixels[0], pixels[1])
    skew = float(abs(pixels[:, 0] @ pixels[:, 1]) / (width * height))
    angle = float(np.degrees(np.arctan2(pixels[1, 0], pixels[0, 0]))) % 90
    return float(max(width / height, height / width)), skew, min(angle, 90 - angle)


def unit_coordinates(size: tuple[int, int]) -> tuple[Gray, Gray]:
    """Return the unit coordinates of the pixels in a grid: (1, width) and (height, 1)."""
    along, down = (((np.arange(edge) + 0.5) / edge - 0.5).astype(np.float32) for edge in size)
    return along[None, :], down[:, None]


def edge_distance(map_: Map, size: tuple[int, int]) -> Gray:
    """Return each pixel's distance from the other picture's center, (height, width).

    The distance is the larger absolute unit coordinate. A pixel lies inside the other picture if
    its distance is at most 0.5.
    """
    u, v = unit_coordinates(size)
    matrix = map_.astype(np.float32)
    x = matrix[0, 0] * u + matrix[0, 1] * v + matrix[0, 2]
    y = matrix[1, 0] * u + matrix[1, 1] * v + matrix[1, 2]
    distance: Gray = np.maximum(np.abs(x), np.abs(y))
    return distance


def inside(map_: Map, size: tuple[int, int], *, margin: float = 0.0) -> npt.NDArray[np.bool_]:
    """Return a mask (height, width), True where a pixel lies inside the other picture.

    `margin`, in unit coordinates, shrinks the other picture on every side.
    """
    return np.asarray(edge_distance(map_, size) <= 0.5 - margin)


def warp(picture: Image.Image, map_: Map, size: tuple[int, int]) -> Image.Image:
    """Resample a picture (mode F, L or RGB) with a map from a grid of `size` pixels."""
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


def shrink(picture: Image.Image, extents: tuple[float, float]) -> Image.Image:
    """Shrink a picture to about these edge lengths in pixels. Edges are never enlarged."""
    size = (
        max(1, min(picture.width, round(extents[0]))),
        max(1, min(picture.height, round(extents[1]))),
    )
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)


def shrink_in_proportion(picture: Image.Image, extents: tuple[float, float]) -> Image.Image:
    """Shrink a picture, keeping its proportions, until no edge exceeds its extent in pixels."""
    share = min(extents[0] / picture.width, extents[1] / picture.height)
    return shrink(picture, (share * picture.width, share * picture.height))
