"""What to look for: texts, images and vectors, alone or added and taken away."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from os import PathLike, altsep, fsdecode, sep
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from imgsearch.errors import ConfigError, SourceError
from imgsearch.images.suffixes import PHOTOS

Example: TypeAlias = str | PathLike[str] | bytes | npt.NDArray[Any]
"""A text or a path, encoded bytes, RGB pixels (uint8 (height, width, 3)) or a vector (d,)."""

Kind: TypeAlias = Literal["text", "image", "vector"]

_ROOTS: Final = ("/", "./", "../", "~/")


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of a query; its `weight` is negative where it is taken away."""

    value: Example
    kind: Kind
    weight: float

    def __str__(self) -> str:
        """Return it as people write it, without its sign."""
        factor = "" if abs(self.weight) == 1 else f"{abs(self.weight):g}*"
        match self.value:
            case bytes():
                return f"{factor}image of {len(self.value):,} bytes"
            case np.ndarray():
                return f"{factor}{self.kind} of {' x '.join(map(str, self.value.shape))}"
            case _:
                return factor + fsdecode(self.value)


class Query:
    """What to look for: ``Query("a dog").plus("snow").minus("cat.jpg", weight=0.5)``.

    A term is a text, an image (a path, encoded bytes or pixels, uint8 (height, width, 3), RGB) or
    a vector (d,). A str is an image where a file lies there, else a text; but one that looks like
    a path, by an image's suffix or its slashes, has to be there. `Query.text` and `Query.image`
    leave nothing to guess, and what they return can be a term, too.

    Meaning: every term becomes a vector of unit length; the query is the weighted sum of these,
    scaled to unit length. A query of one term is that term's vector, whatever its weight; a vector
    alone is passed on as it is. Immutable; arrays are not copied.

    Raises, as `plus` and `minus` do:
        ConfigError: a weight is not finite and above 0, or the value nothing of these.
        SourceError: it looks like a path, but there is no file.
    """

    __slots__ = ("_terms",)

    def __init__(self, value: "Query | Example", *, weight: float = 1.0) -> None:
        self._terms = _terms(value, weight)

    @classmethod
    def text(cls, text: str, *, weight: float = 1.0) -> "Query":
        """Return the query for a text, even where a file has that name."""
        return cls._of([Term(_checked_text(text), "text", _checked_weight(weight))])

    @classmethod
    def image(cls, image: Example, *, weight: float = 1.0) -> "Query":
        """Return the query for an image, even where its path looks like a text."""
        if not isinstance(image, str | bytes | PathLike) and _kind(image) != "image":
            raise ConfigError("an image is a path, bytes or pixels, not a vector")
        return cls._of([Term(image, "image", _checked_weight(weight))])

    def plus(self, value: "Query | Example", *, weight: float = 1.0) -> "Query":
        """Return this query and `value`; another query adds all its terms, each `weight` times."""
        return self._of([*self._terms, *_terms(value, weight)])

    def minus(self, value: "Query | Example", *, weight: float = 1.0) -> "Query":
        """Return this query less `value`; another query's terms as for `plus`."""
        taken = [replace(term, weight=-term.weight) for term in _terms(value, weight)]
        return self._of([*self._terms, *taken])

    @property
    def terms(self) -> tuple[Term, ...]:
        """The summands, in order."""
        return self._terms

    def __str__(self) -> str:
        """Return it as people write it: ``a dog + snow - 0.5*cat.jpg``."""
        first, *others = self._terms
        signed = (f" {'-' if term.weight < 0 else '+'} {term}" for term in others)
        return f"{'- ' if first.weight < 0 else ''}{first}{''.join(signed)}"

    def __repr__(self) -> str:
        return f"<Query {str(self)!r}: {', '.join(term.kind for term in self._terms)}>"

    @classmethod
    def _of(cls, terms: Iterable[Term]) -> "Query":
        made = cls.__new__(cls)
        made._terms = tuple(terms)
        return made


def _terms(value: Query | Example, weight: float) -> tuple[Term, ...]:
    factor = _checked_weight(weight)
    if isinstance(value, Query):
        return tuple(
            replace(
                term, weight=math.copysign(_checked_weight(abs(term.weight) * factor), term.weight)
            )
            for term in value.terms
        )
    return (Term(value, _kind(value), factor),)


def _kind(value: Example) -> Kind:
    match value:
        case str():
            return "image" if _is_image_file(value) else "text"
        case bytes() | PathLike():
            return "image"
        case np.ndarray() if value.ndim == 1 and value.dtype.kind in "fiub":
            return "vector"
        case np.ndarray():
            return "image"  # that the pixels are of the right kind is the decoder's to tell
    raise ConfigError(
        f"a query is a text, a path, bytes, pixels or a vector, not {type(value).__name__}"
    )


def _is_image_file(text: str) -> bool:
    """Tell whether `text` names an image.

    Raises:
        SourceError: it looks like a path, but no file lies there.
        ConfigError: it is neither, for a text has letters.
    """
    try:
        place = Path(text).expanduser()
        if place.is_file():
            return True
        why = ": it is a folder" if text and place.is_dir() else ""
    except (OSError, RuntimeError, ValueError):  # too long for a name; no such user; a NUL
        why = ""
    if _looks_like_path(text):
        if "://" in text:
            why = ": URLs are not fetched; download the image first"
        raise SourceError(
            f"no image file {text!r}{why or '; a text like that is Query.text(…), or text:…'}",
            path=text,
        )
    _checked_text(text)
    return False


def _looks_like_path(text: str) -> bool:
    slashes = any(mark in text for mark in {"/", sep, altsep or sep})
    return (
        Path(text).suffix.lower() in PHOTOS
        or text.startswith(_ROOTS)
        or (slashes and len(text.split()) == 1)
    )


def _checked_text(text: str) -> str:
    if not isinstance(text, str):
        raise ConfigError(f"a text is a str, not {type(text).__name__}")
    if not text.strip():
        raise ConfigError("the query is empty: give a text, or an image")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"the text {text!r} holds bytes that are not UTF-8") from error
    return text


def _checked_weight(weight: float) -> float:
    if not (math.isfinite(weight) and weight > 0):
        raise ConfigError(f"a weight is finite and above 0, not {weight!r}")
    return float(weight)
