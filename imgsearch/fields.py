"""Fields of images: their types, names and values."""

import datetime as dt
import decimal
import math
import os
import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np

from imgsearch.errors import FieldInvalid
from imgsearch.types import Value

FieldType = Literal["str", "int", "float", "bool"]

ZEROS: Final[Mapping[FieldType, Value]] = {"str": "", "int": 0, "float": 0.0, "bool": False}
"""The value of a declared field if a record is written without it."""

# internal field names of stores, and keywords of their filter languages
_RESERVED: Final = frozenset({
    "id", "vector", "score", "distance", "in", "not", "and", "or", "like", "exists", "is", "null",
    "true", "false", "array_contains", "json_contains", "include", "exclude", "count",
})  # fmt: skip


def check_field_name(name: object) -> None:
    """Check that all stores can use a field name.

    Raises:
        FieldInvalid: it is reserved, or not an ASCII identifier of at most 64 characters.
    """
    if not (isinstance(name, str) and name.isidentifier() and name.isascii() and len(name) <= 64):
        raise FieldInvalid(
            f"field name {name!r} is invalid. Use an ASCII identifier of at most 64 letters."
        )
    if name.lower() in _RESERVED or name.startswith(("$", "_")):
        raise FieldInvalid(f"field name {name!r} is reserved. Choose another one.")


def can_filter(name: str) -> bool:
    """Return whether filters can use a field name. Other programs may use any name."""
    try:
        check_field_name(name)
    except FieldInvalid:
        return False
    return True


def is_null(value: object) -> bool:
    """Return whether a cell is empty: None, NaN, or the missing value of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


def field_value(value: Any) -> Value | None:
    """Return a cell as the value of a field; dates and times in ISO 8601, None if it is empty.

    >>> field_value(dt.date(2024, 5, 1))
    '2024-05-01'

    Raises:
        FieldInvalid: it is no text, number, boolean or time.
    """
    if is_null(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case bool() | int() | float():
            return value
        case decimal.Decimal():
            return float(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case os.PathLike() | uuid.UUID():
            return str(value)
    raise FieldInvalid(f"a {type(value).__name__} is not a str, a number or a bool.")
