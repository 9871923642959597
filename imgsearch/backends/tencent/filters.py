"""Filters in Tencent's condition language.

Source: https://cloud.tencent.com/document/product/1709/112947. The language cannot order texts, and
its page does not say how to escape quotes. Here a backslash escapes a quote or a backslash. This is
tested only with the emulator, so `check_read` checks the results. The SDK's `Filter.In` does not
escape at all (tcvectordb 2.1.1).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from imgsearch.backends.conditions import chain
from imgsearch.errors import BackendError
from imgsearch.fields import FieldType
from imgsearch.filters import And, Compare, Filter, In, Leaf, Not, Or, comparisons, matches
from imgsearch.types import Record, Value

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"'})
_NOTHING: Final[Mapping[FieldType, str]] = {"str": '""', "int": "0", "float": "0.0", "bool": "0"}


def rendered(where: Filter | None, fields: Mapping[str, FieldType]) -> str:
    """Convert a filter on declared `fields` to a condition. Returns "" for None.

    The language `translates` its conditions.
    """
    match where:
        case None:
            return ""
        case And():
            return " and ".join(f"({rendered(part, fields)})" for part in chain(where, And))
        case Or():
            return " or ".join(f"({rendered(part, fields)})" for part in chain(where, Or))
        case Not(inner):
            return f"not ({rendered(inner, fields)})"
        case In(name, ()):  # a contradiction, because the language has no empty lists
            nothing = _NOTHING[fields[name]]
            return f"{name} = {nothing} and {name} != {nothing}"
        case In(name, values):
            return f"{name} in ({', '.join(_literal(value, fields[name]) for value in values)})"
        case Compare(name, operation, value):
            sign = "=" if operation == "==" else operation
            return f"{name} {sign} {_literal(value, fields[name])}"
    raise TypeError(f"not a filter: {where!r}")


def translates(leaf: Leaf) -> bool:
    """Return whether the language has a condition. It compares texts for equality only."""
    if isinstance(leaf, Compare):
        return leaf.operation in ("==", "!=") or not isinstance(leaf.value, str)
    return isinstance(leaf, In)


def between(name: str, low: int, high: int) -> str:
    """Return the condition that a numeric field is in the range ``low <= value < high``."""
    return f"{name} >= {low} and {name} < {high}"


def check_read(where: Filter | None, records: Sequence[Record]) -> Sequence[Record]:
    """Check that the records of a response match the filter, and return them.

    Raises:
        BackendError: a record does not match, so the service parsed the filter differently.
    """
    if where is None:
        return records
    names = {name for name, _, _ in comparisons(where)}
    for record in records:
        # other programs' rows may lack a field; how the service then compares it is unknown
        if names <= record.fields.keys() and not matches(where, record.fields):
            raise BackendError(
                f"Tencent VectorDB returned the wrong record {record.id[:80]!r}: it does not meet "
                "the filter, whose quotes or backslashes were read differently. Please report this."
            )
    return records


def _literal(value: Value, kind: FieldType) -> str:
    match kind:
        case "bool":
            return str(int(value))
        case "float":  # without an exponent, because the language may not support it
            digits = format(Decimal(repr(float(value))), "f")
            return digits if "." in digits else f"{digits}.0"
        case "int":
            return str(value)
        case "str":
            return f'"{str(value).translate(_ESCAPES)}"'
