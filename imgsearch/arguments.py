"""Checks of arguments that libraries, stores, services and clients share."""

import math
from numbers import Integral, Real
from typing import Final

from imgsearch.errors import ConfigError

MAX_K: Final = 16_384
"""The limit of k + offset, which is Milvus' topK."""


def check_name(name: str) -> str:
    """Return a collection's name if every store accepts it.

    Raises:
        ConfigError: it is not an ASCII identifier of at most 64 letters.
    """
    text: object = name  # callers without a type checker may pass anything
    if not (isinstance(text, str) and text.isidentifier() and text.isascii() and len(text) <= 64):
        raise ConfigError(
            f"collection name {name!r} is invalid. Use an ASCII identifier of at most 64 letters."
        )
    return name


def check_access(token: object, timeout: object) -> None:
    """Check the token and the timeout of a connection. Messages leave the token out.

    Raises:
        ConfigError: the token is not a text, or the timeout not a positive, finite number.
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
        ConfigError: one is not an integer, or out of its range.
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
