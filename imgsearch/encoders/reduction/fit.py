"""Dimensionality reduction of vectors with a matrix that is fitted once for an encoder.

`Reduction.pca` is fitted on sample images. `Reduction.random` needs no samples but keeps less
information.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from imgsearch.encoders.reduction.file import (
    METADATA,
    TENSORS,
    canonical,
    content,
    read,
    safetensors_numpy,
)
from imgsearch.errors import (
    ConfigError,
    EncoderError,
    EncoderMismatch,
    WeightsInvalid,
)
from imgsearch.text import counted, load_json
from imgsearch.types import Fingerprint, Matrix, Vector

KINDS: Final = ("pca", "random")
SUFFIX: Final = ".safetensors"
_ROUNDING: Final = 1e-12  # of the sum of squares: the rounding error if all rows are equal


@dataclass(frozen=True, eq=False)
class Reduction:
    """A reduction of vectors: (vector - mean) @ matrix.

    `matrix` is float32 (d_in, dim), `mean` float32 (d_in,). For a random matrix, `seed` is its
    seed. For a PCA, `samples` is the number of fitted vectors, and `kept` the retained share of
    their variance, in [0, 1]. `source` is the `encoder_source` of the encoder, or "" for any
    encoder. `digest` is the sha256, in hex, of the file's bytes, computed if it is "".
    """

    kind: str
    matrix: Matrix
    mean: Vector
    seed: int = 0
    samples: int = 0
    source: str = ""
    kept: float = 0.0
    digest: str = ""

    def __post_init__(self) -> None:
        """Check the fields and compute the digest.

        Raises:
            ConfigError: the kind, the shapes or the values are wrong.
            MissingExtra: safetensors is not installed.
        """
        for name in TENSORS:
            array = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            object.__setattr__(self, name, array)
        if fault := _fault(self.kind, self.matrix, self.mean):
            raise ConfigError(f"invalid reduction: {fault}")
        if not self.digest:
            object.__setattr__(self, "digest", hashlib.sha256(self._content()).hexdigest())

    @classmethod
    def pca(cls, batches: Iterable[Matrix], dim: int, *, source: str = "") -> Self:
        """Fit a projection onto the first `dim` principal components, without whitening.

        `batches` are arrays (n, d_in) with any n. Memory is needed for one batch, and for
        (d_in, d_in) in float64. A component's sign is arbitrary, so the entry with the largest
        absolute value is made positive.

        Source: Pearson, On lines and planes of closest fit, Philosophical Magazine 2 (11), 1901.

        Raises:
            ConfigError: `dim` is not in 1 to d_in, there are fewer samples than `dim`, all samples
                are equal, or their lengths differ.
            EncoderError: a sample has NaN or infinity.
            MissingExtra: safetensors is not installed.
        """
        safetensors_numpy()  # fails now rather than after an hour of embedding
        count, total, squares = _moments(batches, dim)
        if count < dim:
            raise ConfigError(
                f"PCA to {dim} dimensions takes {dim} vectors or more: "
                f"{counted(count, 'vector is', 'vectors are')} too few"
            )
        mean = total / count
        covariance = squares / count - np.outer(mean, mean)
        spread = float(np.trace(covariance))
        if spread <= _ROUNDING * float(np.trace(squares)) / count:
            raise ConfigError(f"cannot fit a PCA: all {count} samples are equal")
        variances, directions = np.linalg.eigh(covariance)
        first = directions[:, ::-1][:, :dim]
        largest = first[np.abs(first).argmax(axis=0), np.arange(dim)]
        return cls(
            kind="pca",
            matrix=(first * np.where(largest < 0, -1.0, 1.0)).astype(np.float32),
            mean=mean.astype(np.float32),
            samples=count,
            source=source,
            kept=min(1.0, float(variances[::-1][:dim].sum()) / spread),
        )

    @classmethod
    def random(cls, d_in: int, dim: int, *, seed: int = 2023, source: str = "") -> Self:
        """Return a reduction with a random matrix of N(0, 1 / dim), which keeps lengths on average.

        Source: Johnson and Lindenstrauss, Extensions of Lipschitz mappings into a Hilbert space,
        Contemporary Mathematics 26, 1984.

        Raises:
            ConfigError: `dim` is not in 1 to `d_in`, or the seed is negative.
            MissingExtra: safetensors is not installed.
        """
        _check_dim(dim, d_in)
        if seed < 0:
            raise ConfigError(f"seed must be at least 0, not {seed}")
        normal = np.random.Generator(np.random.PCG64(seed)).standard_normal((d_in, dim))
        matrix = (normal / np.sqrt(dim)).astype(np.float32)
        return cls("random", matrix, np.zeros(d_in, np.float32), seed=seed, source=source)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Load a file that `save` wrote.

        Raises:
            WeightsNotFound: the file is missing or unreadable.
            WeightsInvalid: the file is not a reduction.
            MissingExtra: safetensors is not installed.
        """
        file = Path(path).expanduser()
        data, metadata, tensors = read(file)
        matrix, mean = tensors["matrix"], tensors["mean"]
        if fault := _fault(metadata["kind"], matrix, mean):
            raise WeightsInvalid(f"{file} is not a reduction: {fault}")
        return cls(matrix=matrix, mean=mean, digest=hashlib.sha256(data).hexdigest(), **metadata)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a file atomically; an existing file is replaced.

        Raises:
            ConfigError: the name does not end in .safetensors, or the file cannot be written.
        """
        file = Path(path).expanduser()
        if file.suffix.lower() != SUFFIX:
            raise ConfigError(f"cannot save a reduction as {file}: the name must end in {SUFFIX}")
        part = file.with_name(f".{file.name}.part")
        try:
            part.write_bytes(self._content())
            part.replace(file)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from error

    @property
    def d_in(self) -> int:
        """The length of input vectors."""
        return int(self.matrix.shape[0])

    @property
    def dim(self) -> int:
        """The length of reduced vectors."""
        return int(self.matrix.shape[1])

    def apply(self, matrix: Matrix) -> Matrix:
        """Reduce rows (n, d_in) to float32 (n, dim), C-contiguous and of any norm.

        Raises:
            EncoderMismatch: `matrix` is not (n, d_in).
        """
        if np.ndim(matrix) != 2 or np.shape(matrix)[1] != self.d_in:
            raise EncoderMismatch(
                f"the reduction takes vectors of {self.d_in} dimensions, as (n, {self.d_in}), not "
                f"an array of shape {np.shape(matrix)}"
            )
        rows = np.asarray(matrix, dtype=np.float32)
        return np.ascontiguousarray((rows - self.mean) @ self.matrix, dtype=np.float32)

    def require(self, encoder: Fingerprint) -> None:
        """Check that the reduction was fitted for this encoder.

        Raises:
            EncoderMismatch: it was fitted for another encoder.
            ConfigError: the encoder's vectors are already reduced.
        """
        if encoder.reduction:
            raise ConfigError(f"the vectors of {encoder.model} are already reduced")
        if encoder.dim != self.d_in or self.source not in ("", encoder_source(encoder)):
            raise EncoderMismatch(
                f"the reduction was fitted for vectors of {self.d_in} dimensions by "
                f"{_model(self.source)}, not for {encoder.model} ({encoder.dim} dimensions) with "
                "its weights and options. Fit one with `imgsearch reduce`."
            )

    def _content(self) -> bytes:
        metadata = {name: getattr(self, name) for name in METADATA}
        tensors = {name: getattr(self, name) for name in TENSORS}
        return content(metadata, tensors)


def encoder_source(encoder: Fingerprint) -> str:
    """Return text that identifies an encoder, for `Reduction.source`."""
    return canonical(encoder.identity())


def _model(source: str) -> str:
    """Return the model's name in `source`, or `source` itself if it has no name."""
    try:
        return str(load_json(source)["model"])
    except (ValueError, TypeError, LookupError):
        return source or "any encoder"


def _check_dim(dim: int, d_in: int) -> None:
    if not 1 <= dim <= d_in:
        raise ConfigError(f"cannot reduce vectors of {d_in} dimensions to {dim}; give 1 to {d_in}")


def _moments(
    batches: Iterable[Matrix], dim: int
) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the number of rows, their sum (d_in,), and the sum of their outer products."""
    count, total, squares = 0, np.zeros(0), np.zeros((0, 0))
    for batch in batches:
        rows = np.asarray(batch, dtype=np.float64)
        if rows.ndim != 2 or (count and rows.shape[1] != len(total)):
            wanted = f"(n, {len(total)})" if count else "(n, d)"
            raise ConfigError(f"a batch of samples has the shape {rows.shape}, not {wanted}")
        if not np.isfinite(rows).all():
            raise EncoderError("a sample has NaN or infinity. Check the weights and the image.")
        if not count:
            _check_dim(dim, rows.shape[1])
            total, squares = np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1]))
        count += len(rows)
        total += rows.sum(axis=0)
        squares += rows.T @ rows
    return count, total, squares


def _fault(kind: str, matrix: npt.NDArray[Any], mean: npt.NDArray[Any]) -> str:
    """Return why the fields of a reduction are invalid. Returns "" if they are valid."""
    if kind not in KINDS:
        return f"its kind is {kind!r}, not one of {' and '.join(KINDS)}"
    shapes = f"its matrix has the shape {matrix.shape}, its mean {mean.shape}"
    if matrix.ndim != 2 or not 1 <= matrix.shape[1] <= matrix.shape[0]:
        return f"{shapes}; the matrix must be (d_in, dim) with dim <= d_in"
    if mean.shape != matrix.shape[:1]:
        return f"{shapes}; the mean must be as long as the matrix is high"
    if not (np.isfinite(matrix).all() and np.isfinite(mean).all()):
        return "it has NaN or infinity"
    return ""
