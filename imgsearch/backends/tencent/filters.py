"""Filters in Tencent's condition language.

Source: https://cloud.tencent.com/document/product/1709/112947. It has no order of texts, and does
not say how a quote stands within quotes. Here a backslash goes before a quote or a backslash, as
our emulator reads it; whether the service does is not known, so `check_read` looks at what comes
back. The SDK's own `Filter.In` does not escape at all (tcvectordb 2.1.1).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from imgsearch.backends.schema import FieldType
from imgsearch.errors import BackendError, FieldInvalid
from imgsearch.filters import And, Compare, Filter, In, Not, Or, comparisons, matches
from imgsearch.types import Record, Value

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"'})
_NOTHING: Final[Mapping[FieldType, str]] = {"str": '""', "int": "0", "float": "0.0", "bool": "0"}


def rendered(where: Filter | None, fields: Mapping[str, FieldType]) -> str:
    """Return the condition for a checked filter over declared `fields`; "" for None.

    Raises:
        FieldInvalid: it asks for the order of texts.
    """
    match where:
        case None:
            return ""
        case And():
            return " and ".join(f"({rendered(part, fields)})" for part in _chain(where, And))
        case Or():
            return " or ".join(f"({rendered(part, fields)})" for part in _chain(where, Or))
        case Not(inner):
            return f"not ({rendered(inner, fields)})"
        case In(name, ()):  # an empty list is not of the language: what contradicts itself is
            nothing = _NOTHING[fields[name]]
            return f"{name} = {nothing} and {name} != {nothing}"
        case In(name, values):
            return f"{name} in ({', '.join(_literal(value, fields[name]) for value in values)})"
        case Compare():
            return _comparison(where, fields[where.field])
    raise TypeError(f"not a filter: {where!r}")


def both(*conditions: str) -> str:
    """Return the condition that all `conditions` hold, of which some may be empty."""
    return " and ".join(f"({condition})" for condition in conditions if condition)


def between(name: str, low: int, high: int) -> str:
    """Return the condition that a number is at least `low` and below `high`."""
    return f"{name} >= {low} and {name} < {high}"


def check_read(where: Filter | None, records: Sequence[Record]) -> Sequence[Record]:
    """Return the records of an answer, if they are what was asked for.

    Raises:
        BackendError: the service read the filter as something else.
    """
    if where is None:
        return records
    names = {name for name, _, _ in comparisons(where)}
    for record in records:
        # rows of other programs may lack a field; what they mean by that is theirs
        if names <= record.fields.keys() and not matches(where, record.fields):
            raise BackendError(
                f"Tencent VectorDB answered a filter with record {record.id[:80]!r}, which does "
                "not meet it: it reads quotes or backslashes in another way; please report this"
            )
    return records


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


def _comparison(where: Compare, kind: FieldType) -> str:
    if kind == "str" and where.operation not in ("==", "!="):
        raise FieldInvalid(
            f"cannot filter on {where.field!r} {where.operation} …: Tencent VectorDB compares "
            "texts for equality only; declare a number to order by"
        )
    sign = "=" if where.operation == "==" else where.operation
    return f"{where.field} {sign} {_literal(where.value, kind)}"


def _literal(value: Value, kind: FieldType) -> str:
    match kind:
        case "bool":
            return str(int(value))
        case "float":  # without an exponent, which the language may not know
            digits = format(Decimal(repr(float(value))), "f")
            return digits if "." in digits else f"{digits}.0"
        case "int":
            return str(value)
        case "str":
            return f'"{str(value).translate(_ESCAPES)}"'
