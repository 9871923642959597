"""Checks of records, vectors and filters, shared by all stores."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard

import numpy as np
import numpy.typing as npt

from imgsearch.backends.schema import Schema
from imgsearch.errors import DimensionMismatch, FieldInvalid, VectorInvalid
from imgsearch.fields import ZEROS, FieldType, check_field_name
from imgsearch.filters import (
    Compare,
    Filter,
    IsNull,
    Leaf,
    Under,
    comparisons,
    in_any_form,
    leaves,
    with_leaves,
)
from imgsearch.text import did_you_mean
from imgsearch.types import Matrix, Record, Value, Vector

MAX_ID: Final = 512  # bytes of UTF-8; a hex SHA-256 has 64
MAX_TEXT: Final = 65_535  # bytes of UTF-8 in a text field; the longest VARCHAR in Milvus
MAX_INT: Final = 2**63 - 1  # absolute value; Milvus 2.3.5 cannot read -2**63 in a filter
_PYTHON: Final[Mapping[FieldType, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
}


def check_records(schema: Schema, records: Iterable[Record]) -> list[Record]:
    """Return checked records with all declared fields and builtin types.

    Of records with the same id only the last is returned.

    Raises:
        DimensionMismatch, VectorInvalid, FieldInvalid: as for `Collection.upsert`.
    """
    zeros: dict[str, Value] = {name: ZEROS[kind] for name, kind in schema.fields.items()}
    checked = [(record, _check_fields(schema, record, zeros)) for record in records]
    vectors = _check_stack(schema, [np.asarray(record.vector) for record, _ in checked])
    stored = {
        record.id: Record(record.id, vector, fields)
        for (record, fields), vector in zip(checked, vectors, strict=True)
    }
    return list(stored.values())


def _check_stack(schema: Schema, vectors: Sequence[npt.NDArray[Any]]) -> Matrix:
    """Check vectors in one call; checking each alone would take half of our time in an upsert."""
    if len({vector.shape for vector in vectors}) == 1:
        return check_vectors(schema, np.stack(vectors))
    for vector in vectors:
        check_vectors(schema, vector[None])  # raises for a vector of another shape
    return np.empty((0, schema.dim), dtype=np.float32)


def _check_fields(schema: Schema, record: Record, zeros: Mapping[str, Value]) -> dict[str, Value]:
    if fault := id_fault(record.id):
        raise FieldInvalid(fault)
    if record.vector is None:
        raise VectorInvalid(f"record {record.id!r} has no vector")
    declared = dict(zeros)
    others: dict[str, Value] = {}
    for name, value in record.fields.items():
        fields = declared if name in declared else others
        fields[name] = check_value(schema, name, value)
    if others and len(json.dumps(others, ensure_ascii=False).encode()) > MAX_TEXT:
        raise FieldInvalid(
            f"record {record.id!r} is too large: its undeclared fields {sorted(others)} take more "
            f"than {MAX_TEXT:,} bytes as JSON. Declare the long ones."
        )
    return declared | others


def check_value(schema: Schema, name: str, value: Value) -> Value:
    """Return a field's value as a builtin type.

    Raises:
        FieldInvalid: the field's name or type is invalid, or stores cannot hold the value.
    """
    kind = schema.fields.get(name)
    if kind is not None and _is_plain(kind, value):
        return value
    if kind is None:
        check_field_name(name)
    allowed = _PYTHON[kind] if kind else (str, int, float, bool)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise FieldInvalid(
            f"field {name!r} takes {kind or 'str, int, float or bool'}, not {type(value).__name__}"
        )
    if fault := _value_fault(value):
        raise FieldInvalid(f"field {name!r}: {fault}")
    return _plain(float(value) if kind == "float" else value)


def checked_filter(schema: Schema, where: Filter) -> Filter:
    """Return a checked filter in the form that stores translate.

    It consists of `And`, `Or`, `Not`, `Compare`, `In`, `StartsWith` and `Glob`, and ignores the
    Unicode form of texts, except in ordered comparisons.

    Raises:
        FieldInvalid: as for `check_filter`.
    """
    check_filter(schema, where)

    def plain(leaf: Leaf) -> Filter:
        match leaf:
            case IsNull(name):
                return Compare(name, "==", ZEROS[schema.fields[name]])
            case Under():
                return leaf.prefix()
        return leaf

    return in_any_form(with_leaves(where, plain))


def check_filter(schema: Schema, where: Filter) -> None:
    """Check a filter against the schema.

    Raises:
        FieldInvalid: the filter names an undeclared field, compares a field with a value of another
            type, orders booleans, or asks whether a boolean is null.
    """
    for leaf in leaves(where):
        if leaf.field not in schema.fields:
            declared = ", ".join(schema.fields) or "none"
            raise FieldInvalid(
                f"cannot filter on {leaf.field!r}: it is not declared. Declared fields: {declared}"
                + did_you_mean(leaf.field, schema.fields)
            )
        if isinstance(leaf, IsNull) and schema.fields[leaf.field] == "bool":
            raise FieldInvalid(
                f"field {leaf.field!r} is a boolean and has no null: a missing one is false. "
                "Compare it with true or false."
            )
    for name, operation, value in comparisons(where):
        check_value(schema, name, value)
        if isinstance(value, bool) and operation not in ("==", "!="):
            raise FieldInvalid(
                f"field {name!r} is a boolean and cannot be compared by {operation}. Use == or !=."
            )


def check_vectors(schema: Schema, vectors: Matrix) -> Matrix:
    """Return vectors as float32, shape (n, dim), C-contiguous; for bits, as ±1/√dim.

    Raises:
        DimensionMismatch: the shape is not (n, dim).
        VectorInvalid: a vector contains NaN, infinity or only zeros, or its squared norm is out of
            float32's range.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # checked below
        matrix = np.ascontiguousarray(vectors, dtype=np.float32)
        squared = np.einsum("...i,...i->...", matrix, matrix)
    if matrix.ndim != 2 or matrix.shape[1] != schema.dim:
        got = matrix.shape[-1] if matrix.ndim else 0
        raise DimensionMismatch(
            f"the collection holds {schema.dim}-d vectors, not vectors of shape "
            f"{np.shape(vectors)}. Use the collection's encoder.",
            expected=schema.dim,
            got=got,
        )
    # NaN and infinity propagate to the norm, so one check finds all faults
    if not _is_norm(squared).all():
        raise VectorInvalid(_vector_fault(matrix))
    return signs(matrix > 0) if schema.is_binary else matrix


def signs(bits: npt.NDArray[Any]) -> Matrix:
    """Return bits (…, dim) as unit vectors, float32: 1/√dim for 1, and -1/√dim for 0.

    Their cosine is 1 - 2 h / dim, where h is the number of different bits.
    """
    length = np.float32(bits.shape[-1] ** -0.5)
    return np.where(bits, length, -length)


def can_compare(vector: Vector | None) -> TypeGuard[Vector]:
    """Return whether a stored vector can be compared; another program may have written it."""
    if vector is None:
        return False
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return bool(_is_norm(np.dot(vector, vector)))


def _is_norm(squared: Any) -> Any:
    """Return whether each squared norm is a normal float32 above 0."""
    return np.isfinite(squared) & (squared >= np.finfo(np.float32).tiny)


def _vector_fault(matrix: Matrix) -> str:
    """Return why a vector in the matrix is invalid."""
    if not np.isfinite(matrix).all():
        return "a vector contains NaN or infinity"
    if not matrix.any(axis=1).all():
        return "a vector contains only zeros, so it has no direction to compare"
    return "a vector is too long or too short: its squared norm is out of float32's range"


def id_fault(id_: str) -> str:
    """Return why an id is invalid. Returns "" for a valid id."""
    if _is_plain("str", id_) and 0 < len(id_) <= MAX_ID:
        return ""
    if not isinstance(id_, str):
        return f"the id is not a text but {type(id_).__name__}"
    if not id_ or len(id_.encode(errors="surrogatepass")) > MAX_ID:
        return f"id {id_[:80]!r} is invalid. Use 1 to {MAX_ID} bytes."
    fault = _value_fault(id_)
    return f"id {id_[:80]!r}: {fault}" if fault else ""


def _is_plain(kind: FieldType, value: Value) -> bool:
    """Return whether a value needs no further check: a quick answer for most values."""
    if kind == "str":
        return (
            type(value) is str and value.isascii() and len(value) <= MAX_TEXT and "\0" not in value
        )
    return kind == "int" and type(value) is int and -MAX_INT <= value <= MAX_INT


def _value_fault(value: Value) -> str:
    """Return why a value of the right type is invalid. Returns "" for a valid value."""
    match value:
        case str():
            return _text_fault(value)
        case int() if abs(value) > MAX_INT:
            return "the integer has more than 63 bits and a sign"
        case float() if not math.isfinite(value):
            return f"{value} is not a finite number"
    return ""


def _text_fault(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "the text contains a lone surrogate. Decode paths with os.fsencode first."
    if "\0" in text:
        return "the text contains NUL"
    return f"the text has {size:,} bytes, above {MAX_TEXT:,}" if size > MAX_TEXT else ""


def _plain(value: Value) -> Value:
    """Convert a value of a subclass (NumPy scalars, enum members) to its builtin type."""
    match value:
        case bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case _:
            return str.__str__(value)
