"""Where a listing goes on, as a word that only we read."""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from imgsearch.catalog.entry import MAX_INTEGER, check_text, check_time
from imgsearch.errors import ConfigError

_SUM: Final = 6  # bytes that tell whether the rest is whole; no secret: a forged one only pages
_DAMAGED: Final = "the cursor is damaged; start the listing again"


def packed(listing: str, *values: str | int | datetime) -> str:
    """Return what a listing goes on behind, as a word that may stand in an URL."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    told = json.dumps([listing, *plain]).encode()
    whole = hashlib.sha256(told).digest()[:_SUM] + told
    return base64.urlsafe_b64encode(whole).decode().rstrip("=")


def position(word: str, form: Sequence[str | type]) -> list[Any]:
    """Return the values that were packed; `form` is the listing and each value's type.

    Raises:
        ConfigError: the word is damaged, never was one, or is of another listing.
    """
    listing, *values = _unpacked(word)
    if listing != form[0]:
        raise ConfigError("the cursor is of another listing; start this one again")
    try:
        return [_value(value, kind) for value, kind in zip(values, form[1:], strict=True)]
    except (TypeError, ValueError) as error:  # of a word that somebody made up
        raise ConfigError(_DAMAGED) from error


def _unpacked(word: str) -> list[Any]:
    try:
        padded = word.encode("ascii") + b"=" * (-len(word) % 4)
        whole = base64.b64decode(padded, altchars=b"-_", validate=True)
        told = json.loads(whole[_SUM:])
    except (ValueError, RecursionError) as error:
        raise ConfigError(_DAMAGED) from error
    same = hashlib.sha256(whole[_SUM:]).digest()[:_SUM] == whole[:_SUM]
    if not (same and isinstance(told, list) and told):
        raise ConfigError(_DAMAGED)
    return told


def _value(value: object, kind: str | type) -> str | int | datetime:
    match value:
        case str() if kind is datetime:
            time = datetime.fromisoformat(value)
            check_time("the cursor", time)
            return time
        case str() if kind is str:
            check_text("the cursor", value)
            return value
        case int() if type(value) is kind and abs(value) <= MAX_INTEGER:
            return value
    raise TypeError(value)
