"""Fields of images: their types, names and values."""

import datetime as dt
import decimal
import math
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from imgsearch.errors import ConfigError, FieldInvalid
from imgsearch.text import did_you_mean
from imgsearch.types import SEPARATOR, Value

FieldType = Literal["str", "int", "float", "bool"]

Declaration: TypeAlias = Mapping[str, "FieldType | type | Literal['list']"]
"""The names of fields with their types: ``{"year": int, "city": str}``, or ``{"year": "int"}``."""

ZEROS: Final[Mapping[FieldType, Value]] = {"str": "", "int": 0, "float": 0.0, "bool": False}
"""The value of a declared field if a record is written without it."""

OWN: Final = ("path", "label")
"""The fields of every image, which imgsearch declares and sets."""

# the fields of regions; internal field names of stores, and keywords of their filter languages
_RESERVED: Final = frozenset({
    "id", "vector", "score", "distance", "in", "not", "and", "or", "like", "exists", "is", "null",
    "true", "false", "array_contains", "json_contains", "include", "exclude", "count",
})  # fmt: skip
_REGIONS: Final = ("image", "box", "object")
# a list of texts is stored as one text
_LISTS: Final = (list, tuple, list[str], "list")
_TYPES: Final[Mapping[Any, FieldType]] = {str: "str", int: "int", float: "float", bool: "bool"}
_PYTHON: Final[Mapping[FieldType, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
}
_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")
_NUMBER: Final = re.compile(r"[+-]?(?:0|[1-9]\d*)?\.?\d+(?:[eE][+-]?\d+)?")
_LEADING_ZERO: Final = re.compile(r"[+-]?0\d")  # such as postal codes and telephone numbers
_BOOLEANS: Final = frozenset({"true", "false", "yes", "no"})
_TRUE: Final = ("true", "yes", "1")
_FALSE: Final = ("false", "no", "0")


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


def can_declare(name: object) -> bool:
    """Return whether a user may declare a field of this name."""
    return isinstance(name, str) and can_filter(name) and name not in (*OWN, *_REGIONS)


def declared(fields: Declaration | Iterable[str] | None) -> dict[str, FieldType]:
    """Return the types of declared fields. Texts declare them as on the command line.

    >>> declared({"year": int, "city": str}) == declared(["year:int", "city"])
    True

    Raises:
        ConfigError: a type is unknown, a field is declared twice, or imgsearch sets this field.
        FieldInvalid: a name is invalid.
    """
    if fields is None:
        return {}
    if isinstance(fields, str) or not isinstance(fields, Mapping | Iterable):
        raise ConfigError(f'fields must be a dict such as {{"year": int}}, not {fields!r}')
    pairs = list(fields.items() if isinstance(fields, Mapping) else map(_pair, fields))
    types: dict[str, FieldType] = {}
    for name, kind in pairs:
        check_field_name(name)
        if not can_declare(name):
            raise ConfigError(f"field {name!r} cannot be declared: imgsearch sets it")
        if name in types:
            raise ConfigError(f"field {name!r} is declared twice")
        types[name] = _type(name, kind)
    return types


def _pair(text: object) -> tuple[str, str]:
    if not isinstance(text, str):
        raise ConfigError(f'fields must be a dict such as {{"year": int}}, not {text!r}')
    name, colon, kind = text.partition(":")
    return name.strip(), kind.strip() if colon else "str"


def _type(name: str, kind: object) -> FieldType:
    names = (*_TYPES.values(), "list")
    if kind in _LISTS:
        return "str"
    if isinstance(kind, type) and kind in _TYPES:
        return _TYPES[kind]
    if (known := next((known for known in _TYPES.values() if known == kind), None)) is not None:
        return known
    text = kind.__name__ if isinstance(kind, type) else repr(kind)
    raise ConfigError(
        f"field {name!r} has unknown type {text}. Use one of {', '.join(names)}"
        + did_you_mean(kind, names)
    )


def is_null(value: object) -> bool:
    """Return whether a cell is empty: None, NaN, or the missing value of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


def field_value(value: Any) -> Value | None:
    """Return a cell as the value of a field, None if it is empty.

    Dates and times are in ISO 8601. The items of a list are joined by "; ".

    >>> field_value(dt.date(2024, 5, 1)), field_value(["dog", "cat"])
    ('2024-05-01', 'dog; cat')

    Raises:
        FieldInvalid: it is not a text, number, boolean, time or list of texts.
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
        case list() | tuple() | set() | frozenset() | np.ndarray():
            return _joined(value)
    raise _wrong_value(value)


def _joined(items: Any) -> str:
    """Return a list of texts as one text.

    Raises:
        FieldInvalid: an item is not a text.
    """
    if not all(isinstance(item, str) for item in items):
        raise _wrong_value(items)
    plain = (str(field_value(item.replace(";", ","))).strip() for item in items)
    return SEPARATOR.join(filter(None, plain))


def _wrong_value(value: object) -> FieldInvalid:
    name = type(value).__name__
    return FieldInvalid(f"a {name} is not a str, a number, a bool or a list of str.")


def undeclared_note(name: str, value: Value, function: str) -> str:
    """Return the sentence that says how to declare a stored field.

    >>> print(undeclared_note("n", 3, "open"))
    field 'n' is stored, but filters cannot use it. Declare it: imgsearch.open(…, fields={"n": int})
    """
    declaration = f'{{"{name}": {type(value).__name__}}}'
    return (
        f"field {name!r} is stored, but filters cannot use it. Declare it: "
        f"imgsearch.{function}(…, fields={declaration})"
    )


def typed(fields: Mapping[str, Any], types: Mapping[str, FieldType]) -> dict[str, Value]:
    """Return fields as they are stored, without empty ones. Undeclared fields keep their types.

    A whole float becomes an integer, and an integer a float, where that type is declared.

    >>> typed({"year": 2024.0, "city": None}, {"year": "int", "city": "str"})
    {'year': 2024}

    Raises:
        FieldInvalid: a name is invalid, or a value has another type than the declared one.
    """
    values: dict[str, Value] = {}
    for name, cell in fields.items():
        check_field_name(name)
        try:
            value = field_value(cell)
        except FieldInvalid as error:
            raise FieldInvalid(f"field {name!r}: {error}") from error
        if value is not None:
            values[name] = _as(name, value, types.get(name))
    return values


def _as(name: str, value: Value, kind: FieldType | None) -> Value:
    """Return a value as the declared type.

    Raises:
        FieldInvalid: it has another type.
    """
    if kind is None:
        return value
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, _PYTHON[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise FieldInvalid(f"field {name!r} takes {kind}, not {type(value).__name__}: {value!r}")
    try:
        return float(value) if kind == "float" else value
    except OverflowError as error:
        raise FieldInvalid(f"field {name!r} takes float: the number is too large") from error


def from_text(name: str, cell: str, kind: FieldType) -> Value | None:
    """Return the cell of a csv as a value of the declared type, None if it is empty.

    >>> from_text("year", " 2024 ", "int"), from_text("paid", "no", "bool")
    (2024, False)

    Raises:
        FieldInvalid: the text is not a value of this type.
    """
    text = cell.strip()
    if kind == "str" or not text:
        return text or None
    try:
        match kind:
            case "int":
                number = float(text) if "." in text else int(text)
                return _as(name, number, kind)
            case "float":
                value = float(text)
                return value if math.isfinite(value) else None
            case _ if text.lower() in (*_TRUE, *_FALSE):
                return text.lower() in _TRUE
    except ValueError as error:
        raise FieldInvalid(f"field {name!r} takes {kind}, not {text[:80]!r}") from error
    raise FieldInvalid(f"field {name!r} takes true or false, not {text[:80]!r}")


def type_of(cell: Any) -> FieldType | None:
    """Return the type of a cell, None if it is empty. The text "7" is an integer, "007" is not."""
    if is_null(cell):
        return None
    if isinstance(cell, bool | np.bool_):
        return "bool"
    if isinstance(cell, int | np.integer):
        return "int"
    if isinstance(cell, float | np.floating):
        return "float"
    word = cell.strip() if isinstance(cell, str) else "-"
    if not word:
        return None
    if _INTEGER.fullmatch(word):
        return "int"
    if _NUMBER.fullmatch(word) and not _LEADING_ZERO.match(word):
        return "float"
    return "bool" if word.lower() in _BOOLEANS else "str"


def common_type(kinds: Iterable[FieldType | None]) -> FieldType:
    """Return the type that holds the values of all `kinds`. None stands for an empty cell.

    >>> common_type(["int", None, "float"]), common_type(["int", "bool"])
    ('float', 'str')
    """
    seen = {kind for kind in kinds if kind is not None}
    if seen == {"int", "float"}:
        return "float"
    return seen.pop() if len(seen) == 1 else "str"
