"""Filters as JSON, with limits on nesting and size.

A condition is ``{"field": "year", "op": ">=", "value": 2020}``; its `op` is one of
``== != < <= > >=``, "in" with a list of values, or "startswith" with a string. Conditions are
combined with ``{"all": […]}``, ``{"any": […]}`` and ``{"not": …}``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Final, cast, get_args

from imgsearch.errors import FieldInvalid
from imgsearch.filters import And, Compare, Filter, In, Not, Operation, Or, StartsWith
from imgsearch.types import Value

_OPERATIONS: Final = get_args(Operation)
_DEEPEST: Final = 16  # search forms nest filters 2 or 3 levels deep
_MOST: Final = 1_000  # objects plus listed values
_LONGEST_NAME: Final = 64  # characters, the limit of a collection schema
_JSON: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def from_json(source: object) -> Filter:
    """Parse a filter from a JSON string or its parsed value.

    Raises:
        FieldInvalid: `source` is not a filter, is nested more than 16 levels deep, or has more than
            1,000 objects and listed values. The message starts with a JSON pointer (RFC 6901) to
            the fault.
    """
    return _Reader().read(_parsed(source) if isinstance(source, str) else source, "", 1)


def to_json(where: Filter) -> dict[str, Any]:
    """Return JSON values that `from_json` reads as an equivalent filter.

    A chain of ``&`` or of ``|`` becomes one list, regardless of parentheses.

    Raises:
        FieldInvalid: the filter is larger than `from_json` accepts, or has a value that JSON cannot
            represent.
    """
    values = _to_json(where, 1)
    from_json(values)
    return values


class _Reader:
    """Parses one filter, and counts its objects and listed values."""

    def __init__(self) -> None:
        self._left = _MOST

    def read(self, source: object, place: str, depth: int) -> Filter:
        if depth > _DEEPEST:
            raise _fault(place, f"filters are nested {_DEEPEST} deep at most")
        if not isinstance(source, dict):
            raise _fault(place, f"a condition is an object, not {_kind(source)}")
        self._count(1, place)
        match source:
            case {"not": inner} if len(source) == 1:
                return Not(self.read(inner, f"{place}/not", depth + 1))
            case {"all": parts} if len(source) == 1:
                return _joined(And, self._several(parts, f"{place}/all", depth))
            case {"any": parts} if len(source) == 1:
                return _joined(Or, self._several(parts, f"{place}/any", depth))
            case {"field": str(field), "op": op, "value": value} if len(source) == 3:
                if not 0 < len(field) <= _LONGEST_NAME:
                    raise _fault(f"{place}/field", f"a name has 1 to {_LONGEST_NAME} letters")
                return self._condition(field, op, value, place)
        raise _fault(place, 'neither "field", "op" and "value" alone, nor "all", "any" or "not"')

    def _several(self, parts: object, place: str, depth: int) -> list[Filter]:
        if not isinstance(parts, list) or not parts:
            raise _fault(place, "a list of one condition or more is expected")
        return [self.read(part, f"{place}/{row}", depth + 1) for row, part in enumerate(parts)]

    def _condition(self, field: str, op: object, value: object, place: str) -> Filter:
        at = f"{place}/value"
        if op == "in":
            if not isinstance(value, list):
                raise _fault(at, f'"in" takes a list of values, not {_kind(value)}')
            self._count(len(value), at)
            rows = enumerate(value)
            return In(field, tuple(_value(member, f"{at}/{row}") for row, member in rows))
        plain = _value(value, at)
        if op == "startswith":
            if not isinstance(plain, str):
                raise _fault(at, f'"startswith" takes a text, not {_kind(value)}')
            return StartsWith(field, plain)
        if isinstance(op, str) and op in _OPERATIONS:
            return Compare(field, cast(Operation, op), plain)
        raise _fault(f"{place}/op", f"one of {' '.join(_OPERATIONS)} in startswith is expected")

    def _count(self, parts: int, place: str) -> None:
        self._left -= parts
        if self._left < 0:
            raise _fault(place, f"a filter has {_MOST:,} conditions and listed values at most")


def _value(value: object, place: str) -> Value:
    if not isinstance(value, str | int | float):  # bool is a subclass of int
        raise _fault(place, f"a text, a number, true or false is expected, not {_kind(value)}")
    if isinstance(value, float) and not isfinite(value):
        raise _fault(place, "JSON has no NaN and no infinity")
    return value


def _to_json(where: Filter, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise _fault("", f"filters are nested {_DEEPEST} deep at most")
    match where:
        case And():
            return {"all": [_to_json(part, depth + 1) for part in _flat(And, where)]}
        case Or():
            return {"any": [_to_json(part, depth + 1) for part in _flat(Or, where)]}
        case Not(inner):
            return {"not": _to_json(inner, depth + 1)}
        case In(field, values):
            return {"field": field, "op": "in", "value": list(values)}
        case StartsWith(field, prefix):
            return {"field": field, "op": "startswith", "value": prefix}
        case Compare(field, operation, value):
            return {"field": field, "op": operation, "value": value}
    raise TypeError(f"not a filter: {where!r}")


def _flat(kind: type[And] | type[Or], where: Filter) -> Iterator[Filter]:
    """Yield the conditions of a chain of one `kind`, from left to right, without recursion."""
    stack = [where]
    while stack:
        condition = stack.pop()
        if isinstance(condition, And | Or) and isinstance(condition, kind):
            stack += (condition.right, condition.left)
        else:
            yield condition


def _joined(kind: type[And] | type[Or], parts: Sequence[Filter]) -> Filter:
    """Return `parts` as a balanced tree, so that 1,000 parts are nested only 10 deep."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return kind(_joined(kind, parts[:middle]), _joined(kind, parts[middle:]))


def _parsed(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # RecursionError: about 1,000 nested brackets
        raise _fault("", "the text is not JSON") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):  # a repeated name: JSON parsers differ in the value that they use
        raise ValueError("an object repeats a key")
    return values


def _fault(place: str, why: str) -> FieldInvalid:
    return FieldInvalid(f"filter{place and ' '}{place}: {why}")


def _kind(value: object) -> str:
    return _JSON.get(type(value), type(value).__name__)
