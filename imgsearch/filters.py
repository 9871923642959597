"""Filters on collection fields: expression trees that each backend translates.

    label = Field("label")
    (label == "goldfish") & (Field("year") >= 2020) | ~label.isin(["cat", "dog"])

Only fields that the collection's schema declares can be filtered on.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from math import prod
from typing import Any, Final, Literal

from imgsearch.types import Value

Operation = Literal["==", "!=", "<", "<=", ">", ">="]
_MOST_FORMS: Final = 64  # limit for one text: 2 ** 6, a path with six non-ASCII parts


class Filter:
    """A condition on a record's fields; combine with ``&``, ``|`` and ``~``."""

    __slots__ = ()

    def __and__(self, other: "Filter") -> "Filter":
        return And(self, other)

    def __or__(self, other: "Filter") -> "Filter":
        return Or(self, other)

    def __invert__(self) -> "Filter":
        return Not(self)

    def __bool__(self) -> bool:
        """Reject ``and``, ``or`` and ``not``, which would silently drop half of the condition.

        Raises:
            TypeError: always.
        """
        raise TypeError("combine filters with &, | and ~ instead of and, or and not")


@dataclass(frozen=True, slots=True)
class Compare(Filter):
    """A comparison of a field with one value."""

    field: str
    operation: Operation
    value: Value


@dataclass(frozen=True, slots=True)
class In(Filter):
    """A field equals one of `values`; an empty tuple matches no record."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class StartsWith(Filter):
    """A field's text begins with `prefix`, compared by code points; "" matches every text."""

    field: str
    prefix: str

    def bounds(self) -> Filter:
        """Return the same condition as a range, for stores that order texts by code point.

        Unlike a pattern, a range needs no escapes for ``%`` and ``_`` in `prefix`.
        """
        least = Compare(self.field, ">=", self.prefix)
        stem = self.prefix.rstrip(_LAST)
        if not stem:
            return least
        following = ord(stem[-1]) + 1
        beyond = chr(0xE000 if following == 0xD800 else following)  # a text has no surrogates
        return And(least, Compare(self.field, "<", stem[:-1] + beyond))


@dataclass(frozen=True, slots=True)
class And(Filter):
    """Both conditions hold."""

    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Or(Filter):
    """At least one of two conditions holds."""

    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """The inner condition does not hold."""

    inner: Filter


class Field:
    """A field with a name; comparisons with it return a `Filter`."""

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]  # == returns a filter, which a hash contradicts

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, value: Value) -> Filter:  # type: ignore[override]  # a filter, not a bool
        return Compare(self.name, "==", value)

    def __ne__(self, value: Value) -> Filter:  # type: ignore[override]  # as above
        return Compare(self.name, "!=", value)

    def __lt__(self, value: Value) -> Filter:
        return Compare(self.name, "<", value)

    def __le__(self, value: Value) -> Filter:
        return Compare(self.name, "<=", value)

    def __gt__(self, value: Value) -> Filter:
        return Compare(self.name, ">", value)

    def __ge__(self, value: Value) -> Filter:
        return Compare(self.name, ">=", value)

    def isin(self, values: Iterable[Value]) -> Filter:
        """Return a filter for records whose field equals one of `values`."""
        return In(self.name, tuple(values))

    def startswith(self, prefix: str) -> Filter:
        """Return a filter for records whose field begins with `prefix`."""
        return StartsWith(self.name, prefix)


def matches(where: Filter, fields: Mapping[str, Value]) -> bool:
    """Return whether `fields` match the filter. They must include every field in the filter.

    Tests compare each backend's translation with this reference.
    """
    match where:
        case And(left, right):
            return matches(left, fields) and matches(right, fields)
        case Or(left, right):
            return matches(left, fields) or matches(right, fields)
        case Not(inner):
            return not matches(inner, fields)
        case In(name, values):
            return fields[name] in values
        case StartsWith(name, prefix):
            return str(fields[name]).startswith(prefix)
        case Compare(name, operation, value):
            return _COMPARE[operation](fields[name], value)
    raise TypeError(f"not a filter: {where!r}")


def renamed(where: Filter, names: Mapping[str, str]) -> Filter:
    """Return the filter with its fields renamed: `names` maps old names to new ones."""

    def rename(leaf: Filter) -> Filter:
        if isinstance(leaf, Compare | In | StartsWith):
            return replace(leaf, field=names.get(leaf.field, leaf.field))
        raise TypeError(f"not a filter: {leaf!r}")

    return _with_leaves(where, rename)


def composed(text: str) -> str:
    """Return a text in composed form (NFC). macOS stores é decomposed, as e and an accent (NFD)."""
    return unicodedata.normalize("NFC", text)


def in_any_form(where: Filter) -> Filter:
    """Return a filter that also matches texts stored in the other Unicode form (NFC or NFD).

    Labels are stored in NFC. Paths keep the form that the file system uses, and older collections
    hold labels in either form. ``<``, ``<=``, ``>`` and ``>=`` do not change.
    """
    return _with_leaves(where, _in_any_form)


def _in_any_form(leaf: Filter) -> Filter:
    match leaf:
        case In(name, values):
            return In(name, tuple(form for value in values for form in forms(value)))
        case StartsWith(name, prefix):
            prefixes: list[Filter] = [StartsWith(name, str(form)) for form in forms(prefix)]
            return reduce(Or, prefixes)
        case Compare(name, "==" | "!=" as operation, value) if len(forms(value)) > 1:
            equal = In(name, tuple(forms(value)))
            return equal if operation == "==" else Not(equal)
    return leaf


def forms(value: Value) -> list[Value]:
    """Return a value; for a text, also its composed and decomposed forms (NFC and NFD).

    Each folder or file name in a path may have its own form, so all combinations are returned. A
    path with more than 64 combinations is converted as a whole.
    """
    if not isinstance(value, str) or value.isascii():
        return [value]
    parts = [_both(part) for part in value.split("/")]
    if prod(map(len, parts)) > _MOST_FORMS:
        parts = [_both(value)]
    return list(dict.fromkeys((value, *map("/".join, product(*parts)))))


def _both(text: str) -> list[str]:
    return list({unicodedata.normalize(form, text): None for form in ("NFC", "NFD")})


def _with_leaves(where: Filter, change: Callable[[Filter], Filter]) -> Filter:
    """Return the filter with `change` applied to each of its `leaves`."""
    match where:
        case And(left, right):
            return And(_with_leaves(left, change), _with_leaves(right, change))
        case Or(left, right):
            return Or(_with_leaves(left, change), _with_leaves(right, change))
        case Not(inner):
            return Not(_with_leaves(inner, change))
        case _:
            return change(where)


def leaves(where: Filter) -> Iterable[Filter]:
    """Yield the conditions on single fields, which are joined by `And`, `Or` and `Not`."""
    match where:
        case And(left, right) | Or(left, right):
            yield from leaves(left)
            yield from leaves(right)
        case Not(inner):
            yield from leaves(inner)
        case _:
            yield where


def comparisons(where: Filter) -> Iterable[tuple[str, Operation, Value]]:
    """Yield every (field, operation, value) of the filter, to check it against a schema."""
    for leaf in leaves(where):
        match leaf:
            case In(name, values):
                yield from ((name, "==", value) for value in values)
            case StartsWith(name, prefix):
                yield name, ">=", prefix
            case Compare(name, operation, value):
                yield name, operation, value


_LAST = chr(0x10FFFF)  # the highest code point
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
