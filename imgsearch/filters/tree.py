"""Expression trees of conditions on fields, and their reference semantics, `matches`."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias

from imgsearch.types import SEPARATOR, Value

Operation = Literal["==", "!=", "<", "<=", ">", ">="]
_PLAIN: Final = re.compile(r"(?:(?![*?\[K;`])[\x01-\x7f])*")


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
class Under(Filter):
    """A field's text is a path below `folder`, at any depth: ``/a/b`` holds /a/b/c/1.jpg."""

    field: str
    folder: str

    def prefix(self) -> StartsWith:
        """Return the same condition as a prefix that ends with a separator."""
        separator = "\\" if "\\" in self.folder and "/" not in self.folder else "/"
        whole = self.folder and self.folder.rstrip(separator) + separator
        return StartsWith(self.field, whole)


@dataclass(frozen=True, slots=True)
class Glob(Filter):
    """A field's whole text matches `pattern`, in composed form (NFC) and by case.

    ``*`` matches any characters, also "/"; ``?`` matches one, and ``[ab]`` and ``[!ab]`` match one
    of a set.
    """

    field: str
    pattern: str

    def prefix(self) -> StartsWith:
        """Return a wider condition: the plain ASCII text before the first wildcard.

        "K", ";" and "`" end it, because other characters compose to them.
        """
        plain = _PLAIN.match(self.pattern)
        return StartsWith(self.field, plain[0] if plain else "")


@dataclass(frozen=True, slots=True)
class IsNull(Filter):
    """A field has no value, or the zero of its type: "", 0 or 0.0. Booleans have no null.

    Stores do not distinguish a missing declared field from a zero.
    """

    field: str


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


Leaf: TypeAlias = Compare | In | StartsWith | Under | Glob | IsNull
"""A condition on a single field."""


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

    def under(self, folder: str) -> Filter:
        """Return a filter for records whose path lies below `folder`, at any depth.

        >>> matches(Field("path").under("/photos/2019"), {"path": "/photos/2019/may/1.jpg"})
        True
        """
        return Under(self.name, folder)

    def glob(self, pattern: str) -> Filter:
        """Return a filter for records whose whole text matches a glob; ``*`` also matches "/".

        >>> matches(Field("path").glob("*.jp[eg]*"), {"path": "/photos/1.jpg"})
        True
        """
        return Glob(self.name, pattern)

    def like(self, pattern: str) -> Filter:
        r"""Return a filter for a pattern of SQL: ``%`` is any text, ``_`` is one character.

        A backslash before ``%``, ``_`` or a backslash makes it plain. Letters are compared by case.

        >>> matches(Field("path").like("%.jpg"), {"path": "/photos/1.jpg"})
        True
        """
        return Glob(self.name, _glob_of(pattern))

    def contains(self, item: str) -> Filter:
        """Return a filter for records whose list of texts has this item, as a whole.

        A ";" in an item is stored as a comma, so one in `item` is compared as a comma.

        >>> matches(Field("tags").contains("cat"), {"tags": "dog; cat"})
        True
        >>> matches(Field("tags").contains("cat"), {"tags": "caterpillar"})
        False
        """
        item = item.replace(";", ",").strip()
        plain = "".join(map(_plain, item))
        first = Or(Compare(self.name, "==", item), StartsWith(self.name, item + SEPARATOR))
        later = (f"*{SEPARATOR}{plain}", f"*{SEPARATOR}{plain}{SEPARATOR}*")
        return Or(first, Or(*(Glob(self.name, pattern) for pattern in later)))

    def isnull(self) -> Filter:
        """Return a filter for records without a value, or with the zero of its type; see `IsNull`.

        >>> matches(Field("label").isnull(), {"label": ""})
        True
        """
        return IsNull(self.name)


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
        case IsNull(name):
            return not fields.get(name)
        case Compare() | In() | StartsWith() | Under() | Glob():
            return _holds(where, fields[where.field])
    raise TypeError(f"not a filter: {where!r}")


def matches_sparse(where: Filter, fields: Mapping[str, Value]) -> bool:
    """Return whether fields without a schema match a filter.

    A condition on a missing field, or on a value of another type, does not hold, except `IsNull`.
    """
    match where:
        case And(left, right):
            return matches_sparse(left, fields) and matches_sparse(right, fields)
        case Or(left, right):
            return matches_sparse(left, fields) or matches_sparse(right, fields)
        case Not(inner):
            return not matches_sparse(inner, fields)
        case Compare() | In() | StartsWith() | Under() | Glob() if where.field not in fields:
            return False
    try:
        return matches(where, fields)
    except TypeError:  # < and the like compare values of one type
        return False


def _holds(leaf: Leaf, stored: Value) -> bool:
    """Return whether a stored value meets a condition other than `IsNull`."""
    match leaf:
        case Compare(_, operation, value):
            return _COMPARE[operation](stored, value)
        case In(_, values):
            return stored in values
        case StartsWith(_, prefix):
            return str(stored).startswith(prefix)
        case Under():
            return _holds(leaf.prefix(), stored)
        case Glob(_, pattern):
            text = unicodedata.normalize("NFC", str(stored))
            return fnmatchcase(text, unicodedata.normalize("NFC", pattern))
    raise TypeError(f"not a condition on a value: {leaf!r}")


def renamed(where: Filter, names: Mapping[str, str]) -> Filter:
    """Return the filter with its fields renamed: `names` maps old names to new ones."""

    def rename(leaf: Leaf) -> Filter:
        return replace(leaf, field=names.get(leaf.field, leaf.field))

    return with_leaves(where, rename)


def with_leaves(where: Filter, change: Callable[[Leaf], Filter]) -> Filter:
    """Return the filter with `change` applied to each of its `leaves`.

    Raises:
        TypeError: `where` is not a filter.
    """
    match where:
        case And(left, right):
            return And(with_leaves(left, change), with_leaves(right, change))
        case Or(left, right):
            return Or(with_leaves(left, change), with_leaves(right, change))
        case Not(inner):
            return Not(with_leaves(inner, change))
        case Compare() | In() | StartsWith() | Under() | Glob() | IsNull():
            return change(where)
    raise TypeError(f"not a filter: {where!r}")


def leaves(where: Filter) -> Iterable[Leaf]:
    """Yield the conditions on single fields, which are joined by `And`, `Or` and `Not`."""
    match where:
        case And(left, right) | Or(left, right):
            yield from leaves(left)
            yield from leaves(right)
        case Not(inner):
            yield from leaves(inner)
        case Compare() | In() | StartsWith() | Under() | Glob() | IsNull():
            yield where
        case _:
            raise TypeError(f"not a filter: {where!r}")


def comparisons(where: Filter) -> Iterable[tuple[str, Operation, Value]]:
    """Yield every (field, operation, value) of the filter, to check it against a schema."""
    for leaf in leaves(where):
        match leaf:
            case In(name, values):
                yield from ((name, "==", value) for value in values)
            case StartsWith(name, text) | Under(name, text) | Glob(name, text):
                yield name, ">=", text
            case Compare(name, operation, value):
                yield name, operation, value


def _glob_of(pattern: str) -> str:
    """Convert a pattern of SQL to a glob."""
    parts = re.findall(r"\\[%_\\]|.", pattern, re.DOTALL)
    wild = {"%": "*", "_": "?"}
    return "".join(wild.get(part) or _plain(part[-1]) for part in parts)


def _plain(character: str) -> str:
    return f"[{character}]" if character in "*?[" else character


_LAST = chr(0x10FFFF)  # the highest code point
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
