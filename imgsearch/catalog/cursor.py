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


def packed(listing: str, *values: str | int | datetime) -> str:
    """Return what a listing goes on behind, as a word that may stand in an URL."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    told = json.dumps([listing, *plain], ensure_ascii=False).encode()
    whole = hashlib.sha256(told).digest()[:_SUM] + told
    return base64.urlsafe_b64encode(whole).decode().rstrip("=")


def position(word: str, form: Sequence[str | type]) -> list[Any]:
    """Return the values that were packed; `form` is the listing and each value's type.

    Raises:
        ConfigError: the word is damaged, never was one, or is of another listing.
    """
    try:
        padded = word.encode("ascii") + b"=" * (-len(word) % 4)
        whole = base64.b64decode(padded, altchars=b"-_", validate=True)
        told = whole[_SUM:]
        if hashlib.sha256(told).digest()[:_SUM] != whole[:_SUM]:
            raise ConfigError("the cursor is damaged; start the listing again")
        listing, *values = json.loads(told)
        if listing != form[0]:
            raise ConfigError("the cursor is of another listing; start this one again")
        return [_value(value, kind) for value, kind in zip(values, form[1:], strict=True)]
    except ConfigError:
        raise
    except (ValueError, TypeError, RecursionError) as error:  # of a word that somebody made up
        raise ConfigError("the cursor is damaged; start the listing again") from error


def _value(value: object, kind: str | type) -> str | int | datetime:
    match value:
        case str() if kind is datetime:
            time = datetime.fromisoformat(value)
            check_time("the cursor", time)
            return time
        case str() if kind is str:
            check_text("the cursor", value)
            return value
        case int() if kind is int and abs(value) <= MAX_INTEGER:
            return value
    raise TypeError(value)
