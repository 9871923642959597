"""Filters in Milvus' expression language, as both milvus-lite 3.2.2 and Milvus 2.3.5 read it."""

from collections.abc import Iterable, Mapping
from typing import Final

from imgsearch.backends.schema import FieldType
from imgsearch.filters import And, Compare, Filter, In, Not, Or, StartsWith
from imgsearch.types import Value

# Of C's escapes lite knows these five; it and the server take every other character as it is,
# so json.dumps, which writes \b, \f and \u001f, would be refused.
_ESCAPES: Final = str.maketrans({
    "\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t",
})  # fmt: skip


def rendered(where: Filter | None, fields: Mapping[str, FieldType]) -> str:
    """Return the expression for a checked filter over declared `fields`; "" for None."""
    match where:
        case None:
            return ""
        case And():
            return " and ".join(f"({rendered(part, fields)})" for part in _chain(where, And))
        case Or():
            return " or ".join(f"({rendered(part, fields)})" for part in _chain(where, Or))
        case Not(inner):
            return f"not ({rendered(inner, fields)})"
        case In(name, values):
            return f"{name} in [{', '.join(_literal(value, fields[name]) for value in values)}]"
        case StartsWith():  # not `like`, whose % and _ lite 3.2.2 has no way to escape
            return rendered(where.bounds(), fields)
        case Compare(name, operation, value):
            return f"{name} {operation} {_literal(value, fields[name])}"
    raise TypeError(f"not a filter: {where!r}")


def among(name: str, ids: Iterable[str | int]) -> str:
    """Return the expression for rows whose primary key is one of `ids`.

    pymilvus 3.0.2 has ``ids=`` for this, but puts texts between quotes without escaping them.
    """
    return f"{name} in [{', '.join(quoted(i) if isinstance(i, str) else str(i) for i in ids)}]"


def after(name: str, last: str | int) -> str:
    """Return the expression for rows whose primary key comes after `last`."""
    return f"{name} > {quoted(last) if isinstance(last, str) else last}"


def both(*conditions: str) -> str:
    """Return the expression for rows that meet all `conditions`, of which some may be empty."""
    return " and ".join(f"({condition})" for condition in conditions if condition)


def quoted(text: str) -> str:
    """Return a text as a literal."""
    return f'"{text.translate(_ESCAPES)}"'


def _chain(where: Filter, kind: type[And] | type[Or]) -> list[Filter]:
    """Return the parts of ``a & b & c``, so that long chains do not nest deeply."""
    parts: list[Filter] = []
    waiting = [where]
    while waiting:
        part = waiting.pop()
        if isinstance(part, kind):
            waiting += [part.right, part.left]
        else:
            parts.append(part)
    return parts


def _literal(value: Value, kind: FieldType) -> str:
    match kind:
        case "bool":
            return "true" if value else "false"
        case "float":
            return repr(float(value))
        case "int":
            return str(value)
        case "str":
            return quoted(str(value))
