"""Queries, their vectors, and the options of a search."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, altsep, fsdecode, sep
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from imgsearch.errors import ConfigError, SourceError
from imgsearch.filters import Where, to_filter
from imgsearch.images.moments import file_of
from imgsearch.images.suffixes import PHOTOS
from imgsearch.order import Order
from imgsearch.types import Fingerprint, Hit, Vector, check_breadth, check_score


class SupportsArray(Protocol):
    """An object that NumPy can read, such as a tensor on the CPU."""

    def __array__(self) -> npt.NDArray[Any]:
        """Return the values."""


class SupportsPixels(Protocol):
    """An object that NumPy can read by its interface, such as an image of Pillow."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The description of the pixels' memory."""


Example: TypeAlias = (
    str
    | PathLike[str]
    | bytes
    | npt.NDArray[Any]
    | Sequence[float]
    | SupportsArray
    | SupportsPixels
)
"""A text, a path or URL, encoded bytes, a Pillow image, pixels, or a vector.

Pixels are uint8 or floats in [0, 1], (height, width, 3), RGB; gray and RGBA are converted. A vector
is an array (d,), floats (1, d), or a list of numbers. Tensors and other objects with ``__array__``
count as arrays.
"""

Kind: TypeAlias = Literal["text", "image", "vector"]

Mode: TypeAlias = Literal["vector", "text", "hybrid"]
MODES: Final[tuple[Mode, ...]] = ("vector", "text", "hybrid")

_ROOTS: Final = ("/", "./", "../", "~/")


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """The options of a search, which travel together from a surface to the store.

    `k` hits are returned, nearest first, after the nearest `offset` hits. `where` filters on
    fields; a text or a dictionary is converted to a `Filter`. `min_score` leaves out hits with a
    lower score; "auto" is the threshold measured for queries of this kind. `hide_duplicates` leaves
    out near-duplicates of nearer hits: True uses the measured threshold, a number is the lowest
    score of two near-duplicates. `effort` is the search breadth of the index. `order_by` is a field
    by which the hits are sorted, after "-" in descending order; the nearest `k` are chosen before.
    `mode` is "vector", "text" (by the words in the text fields) or "hybrid" (both, by rank).

    Raises:
        ConfigError: a value has the wrong type or is out of range.
        FieldInvalid: `where` is not a filter.
    """

    k: int = 10
    offset: int = 0
    where: Where | None = None
    min_score: float | Literal["auto"] | None = None
    hide_duplicates: bool | float = False
    effort: int | None = None
    order_by: str | None = None
    mode: Mode = "vector"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"invalid mode {self.mode!r}: use {', '.join(MODES)}.")
        check_breadth(self.k, self.offset, self.effort)
        if self.where is not None:
            object.__setattr__(self, "where", to_filter(self.where))
        if self.order_by is not None:
            Order.parse(self.order_by)
        if isinstance(self.min_score, str) and self.min_score != "auto":
            raise ConfigError(
                f'invalid min_score {self.min_score!r}: use a number, None or "auto".'
            )
        if self.min_score not in (None, "auto"):
            check_score("min_score", self.min_score)
        if not isinstance(self.hide_duplicates, bool):
            check_score("hide_duplicates", self.hide_duplicates)

    def ordered(self, hits: list[Hit]) -> list[Hit]:
        """Return hits in the order of `order_by`, or as they are without one.

        Raises:
            ConfigError: no hit has the field.
        """
        if self.order_by is None:
            return hits
        order = Order.parse(self.order_by)
        order.require(hits)
        return order.sorted(hits)

    def for_store(self) -> dict[str, Any]:
        """Return the arguments of `Collection.search`. `min_score` must not be "auto"."""
        names = ("k", "offset", "where", "min_score", "effort")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class EncodedQuery:
    """A query as a vector, with what the vector no longer shows.

    `vector` is float32 (d,). `kinds` holds "text" and "image", as far as the query has such terms;
    a vector counts as an image. `warnings` name texts and words that the encoder does not know.
    `encoder` made the vector; it is None if the query consists of vectors. `texts` are the added
    texts.
    """

    vector: Vector
    kinds: frozenset[Literal["text", "image"]] = frozenset({"image"})
    warnings: tuple[str, ...] = ()
    encoder: Fingerprint | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a query; `weight` is negative for a subtracted term."""

    value: Example
    kind: Kind
    weight: float

    def __str__(self) -> str:
        """Return the term in the notation of `Query`, without its sign."""
        factor = "" if abs(self.weight) == 1 else f"{abs(self.weight):g}*"
        match self.value:
            case bytes():
                return f"{factor}image of {len(self.value):,} bytes"
            case np.ndarray():
                return f"{factor}{self.kind} of {' x '.join(map(str, self.value.shape))}"
            case str() | PathLike():
                return factor + fsdecode(self.value)
            case _:
                return f"{factor}{self.kind}"


class Query:
    """A query: ``Query("a dog").plus("snow").minus("cat.jpg", weight=0.5)``.

    A term is a text, an image (a path, an http or https URL, encoded bytes, a Pillow image, or
    pixels (height, width, 3), RGB) or a vector (d,); see `Example`. A str is an image if it is a
    URL, or if a file with that name exists, otherwise a text. A str with an image suffix, or with
    slashes like a path, must be a file. A search downloads an image by URL; `Query` does not.
    `Query.text` and `Query.image` do not guess; their results can be terms of another query.

    The query's vector is the weighted sum of its terms' unit vectors, scaled to unit length. For a
    single term it is that term's vector, and a single vector is used as is.
    Immutable; arrays of uint8 pixels are not copied.

    Raises, also in `plus` and `minus`:
        ConfigError: a weight is not finite and above 0, or the value has another type.
        SourceError: the value looks like a path, but no such file exists.
    """

    __slots__ = ("_terms",)

    def __init__(self, value: "Query | Example", *, weight: float = 1.0) -> None:
        self._terms = _terms(value, weight)

    @classmethod
    def text(cls, text: str, *, weight: float = 1.0) -> "Query":
        """Return the query for a text, even if a file has that name."""
        return cls._of([Term(_checked_text(text), "text", _checked_weight(weight))])

    @classmethod
    def image(cls, image: Example, *, weight: float = 1.0) -> "Query":
        """Return the query for an image, even if its path could be a text."""
        if not isinstance(image, str | bytes | PathLike):
            image, kind = _read(image)
            if kind != "image":
                raise ConfigError("invalid image: a vector. Give a path, bytes or pixels.")
        return cls._of([Term(image, "image", _checked_weight(weight))])

    def plus(self, value: "Query | Example", *, weight: float = 1.0) -> "Query":
        """Return this query plus `value`. The terms of a query are added `weight` times."""
        return self._of([*self._terms, *_terms(value, weight)])

    def minus(self, value: "Query | Example", *, weight: float = 1.0) -> "Query":
        """Return this query minus `value`. The terms of a query are subtracted `weight` times."""
        negative = [replace(term, weight=-term.weight) for term in _terms(value, weight)]
        return self._of([*self._terms, *negative])

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms, in order."""
        return self._terms

    @property
    def kinds(self) -> frozenset[Literal["text", "image"]]:
        """The kinds of the terms; a vector counts as an image."""
        return frozenset("text" if term.kind == "text" else "image" for term in self._terms)

    @property
    def urls(self) -> list[str]:
        """The URLs of the images by URL, in order."""
        return [str(term.value) for term in self._terms if _by_url(term)]

    def with_images(self, images: Mapping[str, bytes]) -> "Query":
        """Return the query with the bytes of its images by URL; `images` maps URLs to bytes.

        >>> Query("https://example.org/a.jpg").with_images({"https://example.org/a.jpg": b"GIF"})
        <Query 'image of 3 bytes': image>
        """
        return self._of(
            replace(term, value=images[str(term.value)]) if _by_url(term) else term
            for term in self._terms
        )

    def __str__(self) -> str:
        """Return the query as a formula: ``a dog + snow - 0.5*cat.jpg``."""
        first, *others = self._terms
        signed = (f" {'-' if term.weight < 0 else '+'} {term}" for term in others)
        return f"{'- ' if first.weight < 0 else ''}{first}{''.join(signed)}"

    def __repr__(self) -> str:
        return f"<Query {str(self)!r}: {', '.join(term.kind for term in self._terms)}>"

    @classmethod
    def _of(cls, terms: Iterable[Term]) -> "Query":
        query = cls.__new__(cls)
        query._terms = tuple(terms)
        return query


def _terms(value: Query | Example, weight: float) -> tuple[Term, ...]:
    factor = _checked_weight(weight)
    if isinstance(value, Query):
        return tuple(
            replace(
                term, weight=math.copysign(_checked_weight(abs(term.weight) * factor), term.weight)
            )
            for term in value.terms
        )
    return (Term(*_read(value), factor),)


def _read(value: Example) -> tuple[Example, Kind]:
    """Return a term's value in the form that encoders take, and its kind."""
    match value:
        case str():
            return value, "image" if _is_image_file(value) else "text"
        case bytes() | PathLike():
            return value, "image"
    from PIL import Image

    from imgsearch.images.objects import as_array, as_pixels, as_vector

    expected = "give a text, a path, bytes, a Pillow image, pixels or a vector."
    try:
        array = as_array(value)
    except ConfigError as error:
        raise ConfigError(f"{error} Instead, {expected}") from error
    if array is None and isinstance(value, Image.Image):
        return as_pixels(value), "image"
    if array is None:
        raise ConfigError(f"invalid query of type {type(value).__name__}: {expected}")
    vector = as_vector(array)
    return (as_pixels(array), "image") if vector is None else (vector, "vector")


def is_url(text: str) -> bool:
    """Return whether a text is an http or https URL, which names an image.

    >>> is_url("https://example.org/cat.jpg"), is_url("https://example.org is down")
    (True, False)
    """
    return text[:8].lower().startswith(("http://", "https://")) and len(text.split()) == 1


def _by_url(term: Term) -> bool:
    return term.kind == "image" and isinstance(term.value, str) and is_url(term.value)


def _is_image_file(text: str) -> bool:
    """Return whether `text` names an image file, a frame (``clip.mp4#t=12``), or a URL.

    Raises:
        SourceError: `text` looks like a path, but no such file exists.
        ConfigError: `text` is neither an image file nor a valid text query.
    """
    if is_url(text):
        return True
    try:
        path = Path(text).expanduser()
        if path.is_file() or Path(file_of(str(path))).is_file():
            return True
        is_folder = bool(text) and path.is_dir()
    except (OSError, RuntimeError, ValueError):  # name too long, unknown user, NUL
        is_folder = False
    if _looks_like_path(text):
        raise SourceError(_not_an_image(text, is_folder=is_folder), path=text)
    _checked_text(text)
    return False


def _not_an_image(text: str, *, is_folder: bool) -> str:
    """Return the error message for a text that looks like a path, but not of an image file."""
    name = text if text.isprintable() else repr(text)
    if is_folder:
        return f"{name} is a folder: give one of its images. To add its images, use add."
    if "://" in text:
        return f"cannot fetch {name}: only http and https URLs are fetched. Download it first."
    words = f"write text:{name}, in Python Query.text({text!r})"
    return f"no such file: {name}. To search for the words, {words}"


def _looks_like_path(text: str) -> bool:
    slashes = any(mark in text for mark in {"/", sep, altsep or sep})
    return (
        Path(text).suffix.lower() in PHOTOS
        or text.startswith(_ROOTS)
        or (slashes and len(text.split()) == 1)
    )


def _checked_text(text: str) -> str:
    if not isinstance(text, str):
        raise ConfigError(f"invalid text of type {type(text).__name__}: give a str.")
    if not text.strip():
        raise ConfigError("the query is empty: give a text or an image.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"invalid text {text!r}: it holds bytes that are not UTF-8.") from error
    return text


def _checked_weight(weight: float) -> float:
    if not (math.isfinite(weight) and weight > 0):
        raise ConfigError(f"invalid weight {weight!r}: give a finite number above 0.")
    return float(weight)
