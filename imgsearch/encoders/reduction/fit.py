"""Shorter vectors: one matrix, fitted once, kept in a file, applied to all that an encoder gives.

`Reduction.pca` keeps the directions in which samples differ most and wants images to be fitted on;
`Reduction.random` wants none and keeps less. numpy fits and applies, safetensors keeps the file.
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

from imgsearch import safe_json
from imgsearch.encoders.reduction import file as reduction_file
from imgsearch.errors import (
    ConfigError,
    EncoderError,
    EncoderMismatch,
    WeightsInvalid,
)
from imgsearch.types import Fingerprint, Matrix, Vector
from imgsearch.wording import counted

KINDS: Final = ("pca", "random")
SUFFIX: Final = ".safetensors"
_ROUNDING: Final = 1e-12  # of the squares' sum: what float64 sums leave where all rows are alike


@dataclass(frozen=True, eq=False)
class Reduction:
    """(vector - mean) @ matrix; the same for every image and text of one encoder.

    `matrix` is float32 (d_in, dim), `mean` float32 (d_in,). `seed` is the one that a random matrix
    was drawn from, `samples` how many vectors a PCA was fitted on and `kept` the share of
    their variance that is left, in [0, 1]; each is 0 for the other kind. `source` tells the
    encoder (see `told`), "" for any. `digest` is the sha256, in hex, of the file's bytes,
    which are always the same for the same reduction; it is worked out where it is not given.
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
        """Check what fits together, and work the digest out.

        Raises:
            ConfigError: the kind, the shapes or the values are wrong.
            MissingExtra: safetensors is not installed.
        """
        for name in reduction_file.TENSORS:
            array = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            object.__setattr__(self, name, array)
        if fault := _fault(self.kind, self.matrix, self.mean):
            raise ConfigError(f"this is no reduction: {fault}")
        if not self.digest:
            object.__setattr__(self, "digest", hashlib.sha256(self._content()).hexdigest())

    @classmethod
    def pca(cls, batches: Iterable[Matrix], dim: int, *, source: str = "") -> Self:
        """Return the projection onto the `dim` directions in which the samples differ most.

        `batches` are (n, d_in), of any n; one is held at a time, and (d_in, d_in) in float64. The
        result is not whitened. A direction's largest entry is positive, as its sign is arbitrary.
        Source: Pearson, On lines and planes of closest fit, Philosophical Magazine 2 (11), 1901.

        Raises:
            ConfigError: `dim` is not in 1 to d_in, there are fewer samples than `dim`, they are all
                alike, or the batches are not of one length of vectors.
            EncoderError: a sample holds NaN or infinity.
            MissingExtra: safetensors is not installed.
        """
        reduction_file.safetensors_numpy()  # told now rather than after an hour of embedding
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
            raise ConfigError(f"the {count} samples are all alike: nothing to fit a PCA on")
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
        """Return a matrix of numbers from N(0, 1 / dim), so that lengths are kept on average.

        Source: Johnson and Lindenstrauss, Extensions of Lipschitz mappings into a Hilbert space,
        Contemporary Mathematics 26, 1984.

        Raises:
            ConfigError: `dim` is not in 1 to `d_in`, or the seed is negative.
            MissingExtra: safetensors is not installed.
        """
        _check_dim(dim, d_in)
        if seed < 0:
            raise ConfigError(f"a seed is 0 or more, not {seed}")
        drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal((d_in, dim))
        matrix = (drawn / np.sqrt(dim)).astype(np.float32)
        return cls("random", matrix, np.zeros(d_in, np.float32), seed=seed, source=source)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Return the reduction that `save` wrote.

        Raises:
            WeightsNotFound: there is no such file, or it cannot be read.
            WeightsInvalid: it is something else.
            MissingExtra: safetensors is not installed.
        """
        file = Path(path).expanduser()
        data, about, tensors = reduction_file.read(file)
        matrix, mean = tensors["matrix"], tensors["mean"]
        if fault := _fault(about["kind"], matrix, mean):
            raise WeightsInvalid(f"{file} is no reduction: {fault}")
        return cls(matrix=matrix, mean=mean, digest=hashlib.sha256(data).hexdigest(), **about)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file, whole or not at all; one that is there is replaced.

        Raises:
            ConfigError: its name does not end in .safetensors, or it cannot be written there.
        """
        file = Path(path).expanduser()
        if file.suffix.lower() != SUFFIX:
            raise ConfigError(f"a reduction is kept in NAME{SUFFIX}, not in {file}")
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
        """The length of the vectors that it takes."""
        return int(self.matrix.shape[0])

    @property
    def dim(self) -> int:
        """The length of the vectors that it gives."""
        return int(self.matrix.shape[1])

    def apply(self, matrix: Matrix) -> Matrix:
        """Return the rows (n, d_in) shortened: float32 (n, dim), C-contiguous, of any norm.

        Raises:
            EncoderMismatch: the rows are of another length.
        """
        if np.ndim(matrix) != 2 or np.shape(matrix)[1] != self.d_in:
            raise EncoderMismatch(
                f"the reduction takes vectors of {self.d_in} dimensions, as (n, {self.d_in}), not "
                f"an array of shape {np.shape(matrix)}"
            )
        rows = np.asarray(matrix, dtype=np.float32)
        return np.ascontiguousarray((rows - self.mean) @ self.matrix, dtype=np.float32)

    def require(self, encoder: Fingerprint) -> None:
        """Check that the reduction was fitted for that very encoder.

        Raises:
            EncoderMismatch: it was fitted for another.
            ConfigError: the encoder's vectors are shortened already.
        """
        if encoder.reduction:
            raise ConfigError(f"the vectors of {encoder.model} are reduced already")
        if encoder.dim != self.d_in or self.source not in ("", told(encoder)):
            raise EncoderMismatch(
                f"the reduction was fitted for vectors of {self.d_in} dimensions by "
                f"{_model(self.source)}, not for {encoder.model} ({encoder.dim} dimensions) with "
                "its weights and options; `imgsearch reduce` fits one for it"
            )

    def _content(self) -> bytes:
        """Return the file's bytes."""
        about = {name: getattr(self, name) for name in reduction_file.ABOUT}
        tensors = {name: getattr(self, name) for name in reduction_file.TENSORS}
        return reduction_file.content(about, tensors)


def told(encoder: Fingerprint) -> str:
    """Return the text that tells an encoder from all others: what its fingerprint compares."""
    return reduction_file.canonical(encoder.identity())


def _model(source: str) -> str:
    """Return the model's name in a `source`, or the source where it holds none."""
    try:
        return str(safe_json.loads(source)["model"])
    except (ValueError, TypeError, LookupError):
        return source or "any encoder"


def _check_dim(dim: int, d_in: int) -> None:
    if not 1 <= dim <= d_in:
        raise ConfigError(f"vectors of {d_in} dimensions are reduced to 1 to {d_in}, not to {dim}")


def _moments(
    batches: Iterable[Matrix], dim: int
) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how many rows there are, their sum (d_in,) and that of their outer products."""
    count, total, squares = 0, np.zeros(0), np.zeros((0, 0))
    for batch in batches:
        rows = np.asarray(batch, dtype=np.float64)
        if rows.ndim != 2 or (count and rows.shape[1] != len(total)):
            wanted = f"(n, {len(total)})" if count else "(n, d)"
            raise ConfigError(f"a batch of samples has the shape {rows.shape}, not {wanted}")
        if not np.isfinite(rows).all():
            raise EncoderError("a sample holds NaN or infinity: the weights or the image are odd")
        if not count:
            _check_dim(dim, rows.shape[1])
            total, squares = np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1]))
        count += len(rows)
        total += rows.sum(axis=0)
        squares += rows.T @ rows
    return count, total, squares


def _fault(kind: str, matrix: npt.NDArray[Any], mean: npt.NDArray[Any]) -> str:
    """Tell what is wrong with the parts of a reduction, "" for nothing."""
    if kind not in KINDS:
        return f"it is of the kind {kind!r}, known are {' and '.join(KINDS)}"
    shapes = f"its matrix has the shape {matrix.shape}, its mean {mean.shape}"
    if matrix.ndim != 2 or not 1 <= matrix.shape[1] <= matrix.shape[0]:
        return f"{shapes}; the matrix is (d_in, dim), dim not above d_in"
    if mean.shape != matrix.shape[:1]:
        return f"{shapes}; the mean is as long as the matrix is high"
    if not (np.isfinite(matrix).all() and np.isfinite(mean).all()):
        return "it holds NaN or infinity"
    return ""
