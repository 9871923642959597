"""Maps of embeddings: vectors projected to two dimensions so that neighbors stay close."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

import numpy as np
import numpy.typing as npt

from imgsearch.backends import Collection
from imgsearch.types import Matrix

MOST: Final = 1_000  # images on a map; a random sample of larger collections
_NEIGHBORS: Final = 15  # UMAP's default
_FEWEST: Final = 5  # up to this number of images PCA is used


@dataclass(frozen=True)
class EmbeddingMap:
    """The coordinates of images, `places` float64 (n, 2) in [0, 1], with their ids and paths.

    `method` is "UMAP" or "PCA".
    """

    places: npt.NDArray[np.float64]
    ids: Sequence[str]
    paths: Sequence[str]
    method: str


def embedding_map(collection: Collection, *, seed: int) -> EmbeddingMap:
    """Return the map of a collection, or of 1,000 images drawn from a larger one.

    The projection is UMAP if `umap-learn` is installed (extra `map`). Otherwise, and for up to five
    images, it is the first two principal components. The same vectors and seed give the same map.

    Source: McInnes, Healy, Melville, UMAP, arXiv 1802.03426.
    """
    ids = sorted(record.id for record in collection.iterate(vectors=False))
    drawn = sorted(np.random.default_rng(seed).permutation(ids)[:MOST])
    records = collection.get(drawn, vectors=True)
    stored = [records[id_].vector for id_ in drawn]
    vectors = np.stack([vector for vector in stored if vector is not None])
    by_umap = find_spec("umap") is not None and len(drawn) > _FEWEST
    places = _umap(vectors, seed) if by_umap else principal_components(vectors)
    low, high = places.min(axis=0), places.max(axis=0)
    return EmbeddingMap(
        (places - low) / np.maximum(high - low, 1e-12),
        drawn,
        [str(records[id_].fields.get("path", "")) for id_ in drawn],
        "UMAP" if by_umap else "PCA",
    )


def principal_components(vectors: Matrix) -> npt.NDArray[np.float64]:
    """Return the coordinates along the first two principal components, float64 (n, 2).

    The sign of each axis makes its largest weight positive, so the map is never mirrored.
    """
    centered = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    two = np.zeros((2, vectors.shape[1]))
    two[: min(2, len(axes))] = axes[:2]
    largest = np.take_along_axis(two, np.abs(two).argmax(axis=1)[:, None], axis=1)
    places: npt.NDArray[np.float64] = centered @ (two * np.where(largest < 0, -1, 1)).T
    return places


def _umap(vectors: Matrix, seed: int) -> npt.NDArray[np.float64]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the single thread that a fixed seed requires
        from umap import UMAP

        neighbors = min(_NEIGHBORS, len(vectors) - 1)
        reducer = UMAP(n_neighbors=neighbors, metric="cosine", random_state=seed, n_jobs=1)
        places: Matrix = reducer.fit_transform(vectors)
    return places.astype(np.float64)
