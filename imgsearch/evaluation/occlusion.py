"""Occlusion maps: which parts of an image make it match a query."""

from collections.abc import Iterator
from itertools import islice, product
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.encoders import Encoder, unit
from imgsearch.errors import ConfigError, DimensionMismatch
from imgsearch.types import Matrix, Pixels, Vector

_GRAY: Final = 128  # the middle of the range, as in the source


def occlusion_map(
    encoder: Encoder, query: Vector, image: Pixels, *, cells: int = 7
) -> npt.NDArray[np.float64]:
    """Return how much the score of an image falls when a gray patch covers each of its pixels.

    The image is divided into `cells` x `cells` rectangles. A patch covers two by two of them, so
    each cell is under four patches; its value is the mean of their four falls. The map is float64
    (height, width) of the image, in [-2, 2]: the cosine without a patch minus the cosine with it.
    Positive parts carry the match. Covering a negative part makes the score higher.

    It works for every encoder and embeds (cells + 1)² + 1 images. One copy of the
    image is in memory at a time.

    Args:
        encoder: the encoder of the query and of the image.
        query: the vector of an image or a text, float32 (d,), unit length.
        image: the pixels of the hit, uint8 (height, width, 3), of any size. For less work decode
            it smaller: `at_least` of `imgsearch.images.decode`.
        cells: the number of rectangles along each edge; more show smaller parts.

    Raises:
        ConfigError: `cells` is less than 1.
        DimensionMismatch: the query has another dimension than the encoder's vectors.

    >>> import numpy as np
    >>> import imgsearch
    >>> from imgsearch.evaluation.occlusion import occlusion_map
    >>> encoder = imgsearch.load_encoder("classic")
    >>> image = np.full((60, 90, 3), 128, np.uint8)
    >>> image[:30, :45] = (255, 0, 0)  # a red corner
    >>> falls = occlusion_map(encoder, encoder.encode([image])[0], image, cells=2)
    >>> falls.shape
    (60, 90)
    >>> bool(falls[0, 0] > falls[0, -1] > falls[-1, -1] > 0)
    True

    Source: Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, arXiv 1311.2901.
    """
    if cells < 1:
        raise ConfigError(f"cells is {cells}, but at least 1 is needed")
    if np.shape(query) != (encoder.dim,):
        raise DimensionMismatch(
            f"the query has the shape {np.shape(query)}, but the encoder's vectors have "
            f"{encoder.dim} numbers. Encode the query with the same encoder."
        )
    target = query.astype(np.float64)
    whole, covered = encoder.encode([image]), _encode_all(encoder, _covered(image, cells))
    falls = (whole @ target - covered @ target).reshape(cells + 1, cells + 1)
    means = (falls[:-1, :-1] + falls[:-1, 1:] + falls[1:, :-1] + falls[1:, 1:]) / 4
    rows, columns = (np.diff(_edges(length, cells)) for length in image.shape[:2])
    spread: npt.NDArray[np.float64] = means.repeat(rows, axis=0).repeat(columns, axis=1)
    return spread


def _covered(image: Pixels, cells: int) -> Iterator[Pixels]:
    """Yield the image under each of (cells + 1)² patches, row by row.

    The first and the last patch of a row or column cover one cell, so that every cell is under
    four patches.
    """
    down, across = (_edges(length, cells) for length in image.shape[:2])
    for row, column in product(range(-1, cells), repeat=2):
        copy = image.copy()
        rows = slice(down[max(row, 0)], down[min(row + 2, cells)])
        columns = slice(across[max(column, 0)], across[min(column + 2, cells)])
        copy[rows, columns] = _GRAY
        yield copy


def _edges(length: int, cells: int) -> npt.NDArray[np.int_]:
    """Return where the cells along an edge begin, and where the last one ends, in pixels."""
    return np.linspace(0, length, cells + 1).round().astype(int)


def _encode_all(encoder: Encoder, images: Iterator[Pixels]) -> Matrix:
    """Return the vectors of n images, float32 (n, d), prepared one by one."""
    inputs = (encoder.prepare(image) for image in images)
    vectors = []
    while batch := list(islice(inputs, encoder.batch_size)):
        vectors.append(unit(encoder.features(batch)))
    return np.concatenate(vectors)
