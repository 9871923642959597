"""Reductions of an encoder's vectors to fewer dimensions: PCA or a random projection."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from os import PathLike
from typing import Any, Final

import numpy as np

from imgsearch import encoders
from imgsearch.encoders.reduction.fit import SUFFIX, Reduction, encoder_source
from imgsearch.errors import ConfigError
from imgsearch.pipelines import embed_pipeline
from imgsearch.text import counted
from imgsearch.types import Matrix

__all__ = ["SUFFIX", "Reduction", "draw", "fit"]

_CHUNK: Final = 256  # images per run: enough to overlap, few enough for frequent progress

OnProgress = Callable[[int, int, int], None]
"""Called with the number of images done, the total, and the number of unusable images."""


def draw(
    dim: int,
    *,
    seed: int = 2023,
    model: str = encoders.DEFAULT,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Reduction:
    """Return a random projection of an encoder's vectors to `dim` dimensions.

    Raises:
        ConfigError: the vectors have fewer than `dim` dimensions.
        EncoderError: the encoder cannot be built.
    """
    encoder = encoders.load(model, weights=weights, options=options)
    return Reduction.random(encoder.dim, dim, seed=seed, source=encoder_source(encoder.fingerprint))


def fit(
    paths: Sequence[str],
    dim: int,
    *,
    model: str = encoders.DEFAULT,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
    on_failure: Callable[[str], None] | None = None,
) -> Reduction:
    """Return a PCA to `dim` dimensions, fitted to an encoder's vectors of the images at `paths`.

    `on_failure` is called with the error of each unusable image.

    Raises:
        ConfigError: the vectors have fewer than `dim` dimensions, or there are fewer than `dim`
            images.
        EncoderError: the encoder cannot be built.
    """
    encoder = encoders.load(model, weights=weights, options=options)
    _check_enough(encoder, dim, len(paths))
    pipeline = embed_pipeline(model, weights=weights, options=options)
    with closing(pipeline):
        vectors = _vectors(pipeline, paths, on_progress or _ignore, on_failure or _ignore)
        return Reduction.pca(vectors, dim, source=encoder_source(encoder.fingerprint))


def _check_enough(encoder: encoders.Encoder, dim: int, number: int) -> None:
    """Check the arguments before the images are embedded; `Reduction.pca` would check too late.

    Raises:
        ConfigError: the vectors have fewer than `dim` dimensions, or there are fewer than `dim`
            images.
    """
    if dim > encoder.dim:
        raise ConfigError(
            f"cannot reduce the vectors of {encoder.fingerprint.model} to {dim} dimensions: they "
            f"have {encoder.dim}. Give a smaller --dim."
        )
    if number < dim:
        raise ConfigError(
            f"PCA to {dim} dimensions needs at least {counted(dim, 'image')}, not {number}. Give "
            "more images, or a smaller --dim."
        )


def _vectors(
    pipeline: Any,
    paths: Sequence[str],
    on_progress: OnProgress,
    on_failure: Callable[[str], None],
) -> Iterator[Matrix]:
    """Yield the vectors (n, d) of the usable images, a chunk at a time."""
    failed = 0
    for start in range(0, len(paths), _CHUNK):
        rows = list(pipeline.stream([list(paths[start : start + _CHUNK])]))
        errors = [str(row["error"]) for row in rows if row["error"] is not None]
        vectors = [row["vector"] for row in rows if row["error"] is None]
        failed += len(errors)
        for error in errors:
            on_failure(error)
        if vectors:
            yield np.stack(vectors)
        on_progress(min(start + _CHUNK, len(paths)), len(paths), failed)


def _ignore(*_values: object) -> None:
    pass
