"""Types that all layers share (records, hits, fingerprints, arrays), and argument checks."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from imgsearch.errors import (
    ConfigError,
    EncoderError,
    ImageError,
    ImgSearchError,
    SourceError,
    StepFailed,
)
from imgsearch.text import without_password

MAX_K: Final = 16_384
"""The maximum of k + offset, which is the top-k limit of Milvus."""

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""One decoded image: shape (height, width, 3), RGB, 0 to 255."""

Vector: TypeAlias = npt.NDArray[np.float32]
"""One embedding: shape (d,), C-contiguous."""

Matrix: TypeAlias = npt.NDArray[np.float32]
"""A batch of embeddings: shape (n, d), C-contiguous."""

Value: TypeAlias = str | int | float | bool
"""The value of a record's field."""


SEPARATOR: Final = "; "
"""Joins the items of a list that is stored as the text of one field."""


class _FieldReader:
    """Reads the `fields` of a record or a hit."""

    __slots__ = ()
    fields: Mapping[str, Value]

    @property
    def path(self) -> str:
        """The field "path", or "" without one."""
        return str(self.fields.get("path", ""))

    @property
    def label(self) -> str:
        """The field "label", or "" without one."""
        return str(self.fields.get("label", ""))

    def __getitem__(self, name: str) -> Value:
        """Return a field: ``hit["year"]``.

        Raises:
            KeyError: there is no such field.
        """
        return self.fields[name]


@dataclass(frozen=True, slots=True)
class Record(_FieldReader):
    """One row of a collection. `vector` is None if it was not requested."""

    id: str
    vector: Vector | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit(_FieldReader):
    """One neighbor of a query.

    `score`: higher is nearer, for every metric. Cosine: the cosine, in [-1, 1]. Inner product: the
    inner product. L2: 1 - distance / 2, which equals the cosine for unit vectors.
    `distance`: lower is nearer. Cosine: 1 - cosine, in [0, 2]. Inner product: the negative
    inner product. L2: the squared Euclidean distance, 0 or more.
    """

    id: str
    score: float
    distance: float
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of an encoder. Vectors are comparable if their encoders' fingerprints are equal.

    `weights` is the sha256 of the weights file, "" for a model without weights. `preprocessing`,
    `options` and `templates` describe the image preprocessing, the model's options and the prompt
    templates, each in a canonical form. `reduction` is the sha256 of the reduction file, "" if the
    vectors are not reduced. `runtime` names the engine and precision of the model; it is not
    compared.
    """

    model: str
    dim: int
    weights: str = ""
    preprocessing: str = ""
    options: str = ""
    normalized: bool = True
    templates: str = ""
    reduction: str = ""
    runtime: str = field(default="", compare=False)

    def identity(self) -> dict[str, str | int | bool]:
        """Return the compared fields by name."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.compare}


@dataclass(frozen=True, slots=True)
class FailedRow:
    """An error that replaces a failed row in a pipeline."""

    error: ImgSearchError


@dataclass(frozen=True, slots=True)
class Failure:
    """One image that was not added, and why.

    `path` is a file, a URL, or the name of uploaded bytes. `stage` is "read", "header", "decode",
    "convert", "embed", "crash", "step" (of a user's pipeline) or "insert". `error` is the name of
    the error's class.
    """

    path: str
    stage: str
    error: str
    reason: str

    @classmethod
    def of(cls, path: str, error: ImgSearchError) -> "Failure":
        """Return the failure of the image at `path`. URLs are without user and password."""
        reason = without_password(str(error))
        return cls(without_password(path), _stage(error), type(error).__name__, reason)


def _stage(error: ImgSearchError) -> str:
    match error:
        case ImageError():
            return error.stage
        case SourceError():
            return "read"
        case EncoderError():
            return "embed"
        case StepFailed():
            return "step"
        case _:
            return "insert"


def check_name(name: str) -> str:
    """Return `name` unchanged if every store accepts it as a collection name.

    Raises:
        ConfigError: `name` is not an ASCII identifier of at most 64 characters.
    """
    text: object = name  # callers without a type checker may pass anything
    if not (isinstance(text, str) and text.isidentifier() and text.isascii() and len(text) <= 64):
        raise ConfigError(
            f"collection name {name!r} is invalid. Use an ASCII identifier of at most 64 letters."
        )
    return name


def check_access(token: object, timeout: object) -> None:
    """Check the token and the timeout of a connection. Error messages do not contain the token.

    Raises:
        ConfigError: `token` is neither a string nor None, or `timeout` is not a positive, finite
            number.
    """
    if not isinstance(token, str | None):
        raise ConfigError(f"token is invalid: a {type(token).__name__}. Pass a text or None.")
    if isinstance(timeout, bool) or not (
        isinstance(timeout, int | float) and 0 < timeout < float("inf")
    ):
        raise ConfigError(f"timeout is invalid: {timeout!r}. Pass a positive number of seconds.")


def check_breadth(k: int, offset: int, effort: int | None = None) -> None:
    """Check a search's number of hits, offset and effort.

    Raises:
        ConfigError: an argument is not an integer, or is out of range.
    """
    numbers: dict[str, object] = {
        "k": k,
        "offset": offset,
        "effort": 1 if effort is None else effort,
    }
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise ConfigError(f"{name} must be an integer, not {number!r}")
    if not 1 <= k <= MAX_K:
        raise ConfigError(f"k must be in 1 to {MAX_K:,}, not {k}")
    if not 0 <= offset <= MAX_K - k:
        raise ConfigError(f"offset must be in 0 to {MAX_K:,} - k, not {offset} with k = {k}")
    if effort is not None and effort < 1:
        raise ConfigError(f"effort must be at least 1, not {effort}")


def check_score(name: str, score: object) -> float:
    """Return a score threshold as a float; `name` is the argument's name in the message.

    Raises:
        ConfigError: the score is not a finite number.
    """
    if isinstance(score, bool) or not isinstance(score, Real) or not math.isfinite(score):
        raise ConfigError(f"{name} must be a finite number, not {score!r}")
    return float(score)


class Closeable(ABC):
    """A context manager that returns itself and calls `close` at the end of the block."""

    @abstractmethod
    def close(self) -> None:
        """Release the resources. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
