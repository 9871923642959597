"""Filters in Milvus' expression language, for milvus-lite 3.2.2 and Milvus 2.3.5."""

from collections.abc import Iterable, Mapping
from typing import Final

from imgsearch.backends.conditions import chain
from imgsearch.fields import FieldType
from imgsearch.filters import And, Compare, Filter, In, Not, Or, StartsWith
from imgsearch.types import Value

# Lite supports only these five escapes. Lite and the server accept all other characters unescaped.
# The output of json.dumps would be rejected, because it contains \b, \f and \u001f.
_ESCAPES: Final = str.maketrans({
    "\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t",
})  # fmt: skip


def rendered(where: Filter | None, fields: Mapping[str, FieldType]) -> str:
    """Convert a checked filter on declared `fields` to an expression. Returns "" for None."""
    match where:
        case None:
            return ""
        case And():
            return " and ".join(f"({rendered(part, fields)})" for part in chain(where, And))
        case Or():
            return " or ".join(f"({rendered(part, fields)})" for part in chain(where, Or))
        case Not(inner):
            return f"not ({rendered(inner, fields)})"
        case In(name, values):
            return f"{name} in [{', '.join(_literal(value, fields[name]) for value in values)}]"
        case StartsWith():  # not `like`, because lite 3.2.2 cannot escape its % and _
            return rendered(where.bounds(), fields)
        case Compare(name, operation, value):
            return f"{name} {operation} {_literal(value, fields[name])}"
    raise TypeError(f"not a filter: {where!r}")


def among(name: str, ids: Iterable[str | int]) -> str:
    """Return the expression for rows whose primary key is in `ids`.

    The option ``ids=`` is not used, because pymilvus 3.0.2 does not escape quoted texts.
    """
    return f"{name} in [{', '.join(quoted(i) if isinstance(i, str) else str(i) for i in ids)}]"


def after(name: str, last: str | int) -> str:
    """Return the expression for rows whose primary key is greater than `last`."""
    return f"{name} > {quoted(last) if isinstance(last, str) else last}"


def quoted(text: str) -> str:
    """Return a text as a quoted literal."""
    return f'"{text.translate(_ESCAPES)}"'


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
