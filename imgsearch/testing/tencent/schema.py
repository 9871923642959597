"""What a collection holds: its vector index, its filter fields, and the documents that fit them."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from imgsearch.testing.tencent.codes import BAD_PARAMETER, SYNTAX, Refused

Body = Mapping[str, Any]
Floats = npt.NDArray[np.float32]

MAX_DIM: Final = 4096  # a guess; Tencent's largest dimension is not known here
METRICS: Final = frozenset({"COSINE", "IP", "L2"})
SCALARS: Final = frozenset({"string", "uint64", "int64", "double", "array"})
# index → parameter → (smallest, largest, what it is where left out), all of them guesses
INDEXES: Final[Mapping[str, Mapping[str, tuple[int, int, int]]]] = {
    "FLAT": {},
    "HNSW": {"M": (4, 64, 16), "efConstruction": (8, 512, 200)},
    "IVF_FLAT": {"nlist": (1, 65_536, 1024)},
    "IVF_SQ8": {"nlist": (1, 65_536, 1024)},
    "IVF_PQ": {"nlist": (1, 65_536, 1024), "M": (1, MAX_DIM, 8)},
}
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}", re.ASCII)
_INTEGERS: Final = {"uint64": (0, 2**64 - 1), "int64": (-(2**63), 2**63 - 1)}


class VectorField(NamedTuple):
    """The vector index: `params` are those of `INDEXES`."""

    dim: int
    kind: str
    metric: str
    params: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Document:
    """One document; `vector` is float32 of shape (d,). Never changed, only replaced."""

    id: str
    vector: Floats
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """A collection's indexes: `types` are those of the filter fields."""

    vector: VectorField
    types: Mapping[str, str]

    def document(self, given: Body) -> Document:
        """Return a whole document as an upsert gives it.

        Raises:
            Refused: 14100, it does not fit.
        """
        if "vector" not in given:
            raise Refused(BAD_PARAMETER, "a document has no vector")
        fields = {name: value for name, value in given.items() if name not in ("id", "vector")}
        return Document(identity(given.get("id")), self.row(given["vector"]), self.fields(fields))

    def row(self, vector: object) -> Floats:
        """Return a vector as float32 of shape (d,).

        Raises:
            Refused: 14100, it is of another length, or holds what is no finite float32.
        """
        try:
            with np.errstate(over="ignore"):
                row = np.array(vector, dtype=np.float32)
        except (TypeError, ValueError, OverflowError):
            raise Refused(BAD_PARAMETER, "a vector is no list of numbers") from None
        if row.shape != (self.vector.dim,):
            raise Refused(
                BAD_PARAMETER,
                f"a vector has shape {row.shape}, the collection's dimension is {self.vector.dim}",
            )
        if not np.isfinite(row).all():
            raise Refused(BAD_PARAMETER, "a vector holds what is no finite float32")
        return row

    def fields(self, given: Body) -> dict[str, Any]:
        """Return a document's fields, each declared one as its type.

        Raises:
            Refused: 14100, a declared field is of another type, or a text is no Unicode.
        """
        return {_text(name): _value(name, self.types.get(name), given[name]) for name in given}


def schema(indexes: object) -> Schema:
    """Return the schema that the `indexes` of a create call declare.

    Raises:
        Refused: 15000, the declaration is malformed; 14100, a value in it is out of range.
    """
    if not isinstance(indexes, list) or not all(isinstance(index, dict) for index in indexes):
        raise Refused(SYNTAX, "indexes must be a list of objects")
    vector, types, keyed = None, {}, False
    seen: set[str] = set()
    for index in indexes:
        name, type_, kind = (index.get(key) for key in ("fieldName", "fieldType", "indexType"))
        if not isinstance(name, str) or not name or name in seen:
            raise Refused(SYNTAX, "fieldName must exist and be unique")
        seen.add(name)
        if type_ == "vector" and name == "vector":
            vector = _vector_field(index)
        elif (name, type_, kind) == ("id", "string", "primaryKey"):
            keyed = True
        elif type_ in SCALARS and kind == "filter" and name not in ("id", "vector"):
            types[name] = str(type_)
        else:
            raise Refused(BAD_PARAMETER, f"index of {name!r}: {type_}/{kind} is not known here")
    if vector is None or not keyed:
        raise Refused(SYNTAX, "indexes must hold a vector 'vector' and a string primaryKey 'id'")
    return Schema(vector, types)


def named(given: object, what: str) -> str:
    """Return a name of a database, collection or alias.

    Raises:
        Refused: 15000, it is none.
    """
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise Refused(SYNTAX, f"{what} must be 1 to 128 ASCII letters, digits, _ or -")
    return given


def identity(given: object) -> str:
    """Return a document's id.

    Raises:
        Refused: 14100, it is none.
    """
    if not isinstance(given, str) or not given:
        raise Refused(BAD_PARAMETER, "a document's id must be a string, not empty")
    return _text(given)


def whole(given: object, what: str, least: int, most: int) -> int:
    """Return an integer of a range.

    Raises:
        Refused: 14100, it is none.
    """
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise Refused(BAD_PARAMETER, f"{what} must be an integer in [{least}, {most}]")
    return given


def _vector_field(index: Body) -> VectorField:
    kind, metric = str(index.get("indexType")), str(index.get("metricType"))
    if kind not in INDEXES:
        raise Refused(BAD_PARAMETER, f"indexType {kind!r} is none of {', '.join(INDEXES)}")
    if metric not in METRICS:
        raise Refused(BAD_PARAMETER, f"metricType {metric!r} is none of {sorted(METRICS)}")
    dim = whole(index.get("dimension"), "dimension", 1, MAX_DIM)
    given = index.get("params") or {}
    if not isinstance(given, dict):
        raise Refused(SYNTAX, "params must be an object")
    params = {
        name: whole(given.get(name, default), name, least, most)
        for name, (least, most, default) in INDEXES[kind].items()
    }
    if kind == "IVF_PQ" and dim % params["M"]:
        raise Refused(BAD_PARAMETER, f"IVF_PQ cannot cut {dim} dimensions into {params['M']}")
    return VectorField(dim, kind, metric, params)


def _value(name: str, type_: str | None, value: Any) -> Any:
    """Return a field's value as its declared type; whatever JSON can say where it has none."""
    match type_, value:
        case ((None | "string"), str()):
            return _text(value)
        case "array", list() if all(isinstance(each, str) for each in value):
            return [_text(each) for each in value]
        case None, _:
            return _json(name, value)
        case (("uint64" | "int64" | "double"), bool()):
            pass
        case (("uint64" | "int64"), int()):
            least, most = _INTEGERS[type_]
            return whole(value, f"field {name!r}", least, most)
        case "double", (int() | float()) if abs(value) <= sys.float_info.max:
            return float(value)
    raise Refused(BAD_PARAMETER, f"field {name!r} must be of type {type_}")


def _json(name: str, value: object) -> object:
    """Return what an undeclared field holds if both protocols can carry it."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise Refused(BAD_PARAMETER, f"field {name!r} holds what no JSON can say") from None
    return value


def _text(value: str) -> str:
    """Return a text if UTF-8, which both protocols speak, can hold it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused(BAD_PARAMETER, "a text holds half a character (a lone surrogate)") from None
    return value
