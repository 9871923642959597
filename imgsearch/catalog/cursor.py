"""Cursors: positions in a paged listing, encoded as opaque text."""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from imgsearch.catalog.entry import MAX_INTEGER, check_text, check_time
from imgsearch.errors import ConfigError

_CHECKSUM: Final = 6  # bytes; detects damage only, because a forged cursor is harmless
DAMAGED: Final = "the cursor is damaged. Start the listing again."
"""The message about a cursor that was changed or cut off."""


def encode(listing: str, *values: str | int | datetime) -> str:
    """Return a URL-safe cursor that points after the item with these sort values."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    payload = json.dumps([listing, *plain], ensure_ascii=False).encode("utf-8", "surrogatepass")
    signed = _checksum(payload) + payload
    return base64.urlsafe_b64encode(signed).decode().rstrip("=")


def decode(cursor: str, form: Sequence[str | type]) -> list[Any]:
    """Return the values in a cursor. `form` is the listing's name, then the type of each value.

    Raises:
        ConfigError: the cursor is damaged, invalid, or belongs to another listing.
    """
    listing, *values = _payload(cursor)
    if listing != form[0]:
        raise ConfigError("the cursor belongs to another listing. Start this one again.")
    try:
        return [_value(value, kind) for value, kind in zip(values, form[1:], strict=True)]
    except (TypeError, ValueError) as error:  # the cursor is forged
        raise ConfigError(DAMAGED) from error


def _payload(cursor: str) -> list[Any]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        signed = base64.b64decode(padded, altchars=b"-_", validate=True)
        values = json.loads(signed[_CHECKSUM:])
    except (ValueError, RecursionError) as error:
        raise ConfigError(DAMAGED) from error
    intact = _checksum(signed[_CHECKSUM:]) == signed[:_CHECKSUM]
    if not (intact and isinstance(values, list) and values):
        raise ConfigError(DAMAGED)
    return values


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()[:_CHECKSUM]


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
