"""Collection schemas, and checks of documents."""

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

MAX_DIM: Final = 4096  # a guess
METRICS: Final = frozenset({"COSINE", "IP", "L2"})
SCALARS: Final = frozenset({"string", "uint64", "int64", "double", "array"})
# index → parameter → (minimum, maximum, default); all are guesses
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
    """The vector field and its index. `params` are the parameters of its `kind` in `INDEXES`."""

    dim: int
    kind: str
    metric: str
    params: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Document:
    """A document with its `vector`, float32 (d,). Immutable: changes create a new document."""

    id: str
    vector: Floats
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """A collection's vector field, and the `types` of its filter fields by name."""

    vector: VectorField
    types: Mapping[str, str]

    def document(self, body: Body) -> Document:
        """Convert a document from an upsert's body.

        Raises:
            Refused: 14100, the document does not match the schema.
        """
        if "vector" not in body:
            raise Refused(BAD_PARAMETER, "a document has no vector")
        fields = {name: value for name, value in body.items() if name not in ("id", "vector")}
        return Document(identity(body.get("id")), self.row(body["vector"]), self.fields(fields))

    def row(self, vector: object) -> Floats:
        """Convert a vector to float32, shape (d,).

        Raises:
            Refused: 14100, the length is wrong, or a value is not a finite float32.
        """
        try:
            with np.errstate(over="ignore"):
                row = np.array(vector, dtype=np.float32)
        except (TypeError, ValueError, OverflowError):
            raise Refused(BAD_PARAMETER, "a vector is not a list of numbers") from None
        if row.shape != (self.vector.dim,):
            raise Refused(
                BAD_PARAMETER,
                f"a vector has shape {row.shape}, the collection's dimension is {self.vector.dim}",
            )
        if not np.isfinite(row).all():
            raise Refused(BAD_PARAMETER, "a vector has a value that is not a finite float32")
        return row

    def fields(self, body: Body) -> dict[str, Any]:
        """Convert a document's fields. Declared fields get their declared types.

        Raises:
            Refused: 14100, a declared field has another type, or a text is not valid Unicode.
        """
        return {_text(name): _value(name, self.types.get(name), body[name]) for name in body}


def schema(indexes: object) -> Schema:
    """Convert the `indexes` of a create call to a schema.

    Raises:
        Refused: 15000, `indexes` is malformed; 14100, a value is unsupported or out of range.
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
            raise Refused(BAD_PARAMETER, f"index of {name!r}: {type_}/{kind} is not supported")
    if vector is None or not keyed:
        raise Refused(SYNTAX, "indexes must have a vector 'vector' and a string primaryKey 'id'")
    return Schema(vector, types)


def named(name: object, role: str) -> str:
    """Return a valid database, collection or alias name. `role` is its name in the message.

    Raises:
        Refused: 15000, the name is invalid.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refused(SYNTAX, f"{role} must be 1 to 128 ASCII letters, digits, _ or -")
    return name


def identity(id_: object) -> str:
    """Return a document's id if it is valid.

    Raises:
        Refused: 14100, the id is invalid.
    """
    if not isinstance(id_, str) or not id_:
        raise Refused(BAD_PARAMETER, "a document's id must be a string, not empty")
    return _text(id_)


def whole(number: object, role: str, least: int, most: int) -> int:
    """Return an integer in `least` to `most`. `role` is its name in the message.

    Raises:
        Refused: 14100, `number` is not an integer or is out of range.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise Refused(BAD_PARAMETER, f"{role} must be an integer in [{least}, {most}]")
    return number


def _vector_field(index: Body) -> VectorField:
    kind, metric = str(index.get("indexType")), str(index.get("metricType"))
    if kind not in INDEXES:
        raise Refused(BAD_PARAMETER, f"indexType {kind!r} is not one of {', '.join(INDEXES)}")
    if metric not in METRICS:
        raise Refused(BAD_PARAMETER, f"metricType {metric!r} is not one of {sorted(METRICS)}")
    dim = whole(index.get("dimension"), "dimension", 1, MAX_DIM)
    options = index.get("params") or {}
    if not isinstance(options, dict):
        raise Refused(SYNTAX, "params must be an object")
    params = {
        name: whole(options.get(name, default), name, least, most)
        for name, (least, most, default) in INDEXES[kind].items()
    }
    if kind == "IVF_PQ" and dim % params["M"]:
        raise Refused(BAD_PARAMETER, f"IVF_PQ cannot cut {dim} dimensions into {params['M']}")
    return VectorField(dim, kind, metric, params)


def _value(name: str, type_: str | None, value: Any) -> Any:
    """Convert a field's value to its declared type. Undeclared fields can have any JSON value."""
    match type_, value:
        case ((None | "string"), str()):
            return _text(value)
        case "array", list() if all(isinstance(item, str) for item in value):
            return [_text(item) for item in value]
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
    """Return the value of an undeclared field if both protocols can transfer it."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise Refused(BAD_PARAMETER, f"field {name!r} has a value that JSON cannot hold") from None
    return value


def _text(value: str) -> str:
    """Return a text if it can be encoded in UTF-8, which both protocols require."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused(BAD_PARAMETER, "a text contains a lone surrogate") from None
    return value
