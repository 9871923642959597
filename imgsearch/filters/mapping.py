"""Filters as dictionaries and as JSON, with limits on nesting and size.

``{"label": "cat", "year": {">=": 2019, "<": 2024}}``: every key has to hold. A list means "in" and
None means "is null". The operators are ``== != < <= > >=``, "in" and "not in" with a list,
"startswith", "contains", "under", "like" and "glob" with a text, and "null" with true or false.

Other combinations are ``{"all": […]}``, ``{"any": […]}`` and ``{"not": …}`` of such dictionaries.
`to_json` writes each condition as ``{"field": "year", "op": ">=", "value": 2020}``, which can be
read, too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Final, cast, get_args

from imgsearch.errors import FieldInvalid
from imgsearch.filters.tree import (
    And,
    Compare,
    Field,
    Filter,
    Glob,
    In,
    IsNull,
    Leaf,
    Not,
    Operation,
    Or,
    StartsWith,
    Under,
    leaves,
)
from imgsearch.types import Value

DEEPEST: Final = 16  # search forms nest filters 2 or 3 levels deep
MOST: Final = 1_000  # objects plus listed values
_OPERATIONS: Final = get_args(Operation)
_TEXTS: Final = ("startswith", "contains", "under", "like", "glob")
_ALL: Final = (*_OPERATIONS, "in", "not in", *_TEXTS, "null")
_LONGEST_NAME: Final = 64  # characters, the limit of a collection schema
_JSON: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    tuple: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def from_json(source: object) -> Filter:
    """Parse a filter from a dictionary, or from a JSON text.

    >>> from_json({"label": ["cat", "dog"], "year": {">=": 2019}})  # doctest: +ELLIPSIS
    And(left=In(field='label', values=('cat', 'dog')), right=Compare(field='year', ...

    Raises:
        FieldInvalid: `source` is not a filter, is nested more than 16 levels deep, or has more than
            1,000 conditions and listed values. The message starts with a JSON pointer (RFC 6901) to
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
    """Parses one filter, and counts its conditions and listed values."""

    def __init__(self) -> None:
        self._left = MOST

    def read(self, source: object, place: str, depth: int) -> Filter:
        if depth > DEEPEST:
            raise _fault(place, f"filters are nested {DEEPEST} deep at most")
        if not isinstance(source, Mapping):
            raise _fault(place, f"a condition is an object, not {_kind(source)}")
        self._count(1, place)
        match source:
            case {"not": inner} if len(source) == 1:
                return Not(self.read(inner, f"{place}/not", depth + 1))
            case {"all": parts} if len(source) == 1 and (parts == [] or _objects(parts)):
                return joined(And, self._several(parts, f"{place}/all", depth))
            case {"any": parts} if len(source) == 1 and (parts == [] or _objects(parts)):
                return joined(Or, self._several(parts, f"{place}/any", depth))
            case {"field": field, "op": op, "value": value} if len(source) == 3:
                return self._condition(_name(field, f"{place}/field"), op, value, place)
        if not source or {"field", "op"} <= source.keys() or any(map(_objects, source.values())):
            raise _fault(
                place,
                'neither conditions, such as {"label": "cat"}, nor one of "all", '
                '"any" and "not" alone',
            )
        parts = [self._field(name, value, place) for name, value in source.items()]
        return joined(And, parts)

    def _several(self, parts: Sequence[object], place: str, depth: int) -> list[Filter]:
        if not parts:
            raise _fault(place, "a list of one condition or more is expected")
        return [self.read(part, f"{place}/{row}", depth + 1) for row, part in enumerate(parts)]

    def _field(self, name: object, value: object, place: str) -> Filter:
        """Parse what a key of the short form requires of its field."""
        at = f"{place}/{_pointer(str(name))}"
        field = _name(name, at)
        match value:
            case None:
                return IsNull(field)
            case list() | tuple() | set() | frozenset():
                return self._among(field, value, at)
            case Mapping() if value:
                self._count(len(value), at)
                parts = [
                    self._operation(field, op, operand, at, f"{at}/{_pointer(str(op))}")
                    for op, operand in value.items()
                ]
                return joined(And, parts)
        return Compare(field, "==", _value(value, at))

    def _condition(self, field: str, op: object, value: object, place: str) -> Filter:
        return self._operation(field, op, value, f"{place}/op", f"{place}/value")

    def _operation(self, field: str, op: object, value: object, place: str, at: str) -> Filter:
        """Parse a condition; `place` is the position of its operator, `at` of its value."""
        match op:
            case "in":
                return self._among(field, value, at)
            case "not in":
                return Not(self._among(field, value, at))
            case "null":
                if not isinstance(value, bool):
                    raise _fault(at, f'"null" takes true or false, not {_kind(value)}')
                return IsNull(field) if value else Not(IsNull(field))
            case str() if op in _TEXTS:
                if not isinstance(value, str):
                    raise _fault(at, f'"{op}" takes a text, not {_kind(value)}')
                condition: Filter = getattr(Field(field), op)(value)
                return condition
            case str() if op in _OPERATIONS:
                return Compare(field, cast(Operation, op), _value(value, at))
        raise _fault(place, f"one of {', '.join(_ALL)} is expected")

    def _among(self, field: str, values: object, at: str) -> Filter:
        if not isinstance(values, list | tuple | set | frozenset):
            raise _fault(at, f'"in" takes a list of values, not {_kind(values)}')
        self._count(len(values), at)
        rows = enumerate(values)
        return In(field, tuple(_value(member, f"{at}/{row}") for row, member in rows))

    def _count(self, parts: int, place: str) -> None:
        self._left -= parts
        if self._left < 0:
            raise _fault(place, f"a filter has {MOST:,} conditions and listed values at most")


def _objects(parts: object) -> bool:
    """Return whether `parts` are conditions, not the values of a field "all" or "any"."""
    return isinstance(parts, list | tuple) and any(isinstance(part, Mapping) for part in parts)


def _name(name: object, place: str) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise _fault(place, f"the name of a field is expected, with 1 to {_LONGEST_NAME} letters")
    return name


def _pointer(key: str) -> str:
    """Return a key as a part of a JSON pointer, cut to the length of a name."""
    return key[:_LONGEST_NAME].replace("~", "~0").replace("/", "~1")


def _value(value: object, place: str) -> Value:
    if not isinstance(value, str | int | float):  # bool is a subclass of int
        raise _fault(place, f"a text, a number, true or false is expected, not {_kind(value)}")
    if isinstance(value, float) and not isfinite(value):
        raise _fault(place, "JSON has no NaN and no infinity")
    return value


def _to_json(where: Filter, depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise _fault("", f"filters are nested {DEEPEST} deep at most")
    match where:
        case And():
            return {"all": [_to_json(part, depth + 1) for part in _flat(And, where)]}
        case Or():
            return {"any": [_to_json(part, depth + 1) for part in _flat(Or, where)]}
        case Not(inner):
            return {"not": _to_json(inner, depth + 1)}
    (leaf,) = leaves(where)
    op, value = _operator(leaf)
    return {"field": leaf.field, "op": op, "value": value}


def _operator(leaf: Leaf) -> tuple[str, Value | list[Value]]:
    match leaf:
        case In():
            return "in", list(leaf.values)
        case StartsWith():
            return "startswith", leaf.prefix
        case Under():
            return "under", leaf.folder
        case Glob():
            return "glob", leaf.pattern
        case IsNull():
            return "null", True
        case Compare():
            return leaf.operation, leaf.value


def _flat(kind: type[And] | type[Or], where: Filter) -> Iterator[Filter]:
    """Yield the conditions of a chain of one `kind`, from left to right, without recursion."""
    stack = [where]
    while stack:
        condition = stack.pop()
        if isinstance(condition, And | Or) and isinstance(condition, kind):
            stack += (condition.right, condition.left)
        else:
            yield condition


def joined(kind: type[And] | type[Or], parts: Sequence[Filter]) -> Filter:
    """Return `parts` as a balanced tree, so that 1,000 parts are nested only 10 deep."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return kind(joined(kind, parts[:middle]), joined(kind, parts[middle:]))


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
