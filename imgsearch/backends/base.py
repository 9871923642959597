"""The contract of a vector store, proven by tests/backends/test_contract.py for each of them.

`VectorBackend` is a store, `Collection` one named set of vectors in it. The public methods here
check what goes in and shape what comes out, alike for all; a store implements the ones with an
underscore and may rely on what was checked.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import numpy as np

from imgsearch.backends.schema import ZEROS, FieldType, Metric, Schema, check_field_name
from imgsearch.errors import ConfigError, DimensionMismatch, FieldInvalid, VectorInvalid
from imgsearch.filters import Filter, comparisons
from imgsearch.types import Hit, Matrix, Record, Value, Vector

MAX_K: Final = 16_384  # Milvus' topK; nobody reads further
MAX_ID: Final = 512  # bytes of UTF-8: a sha256 in hex is 64
MAX_TEXT: Final = 65_535  # bytes of UTF-8 in one text field: Milvus' longest VARCHAR
_PYTHON: Final[Mapping[FieldType, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do beyond the contract.

    `indexes` are those that it really builds; `persistent`: vectors outlive the process;
    `shared`: other processes may use the store at the same time.
    """

    indexes: frozenset[str]
    persistent: bool
    shared: bool


class Collection(ABC):
    """A named set of records with vectors of one schema. Thread-safe."""

    def __init__(self, name: str, schema: Schema) -> None:
        self.name, self.schema = name, schema

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.schema.dim}-d {self.schema.metric}>"

    def upsert(self, records: Iterable[Record]) -> None:
        """Write records, replacing those of the same id; a search finds them on return.

        Of records with the same id the last counts. A record's fields replace the old ones whole;
        a declared field that is left out holds its type's zero ("" 0 0.0 False).

        Raises:
            DimensionMismatch: a vector is not (dim,).
            VectorInvalid: a vector is missing, or holds NaN, infinity or only zeros.
            FieldInvalid: an id is empty or longer than 512 bytes, a field's name or type does not
                fit, or a text is longer than 65,535 bytes. Nothing is written in all these cases.
        """
        latest = {record.id: record for record in records}
        checked = [self._checked(record) for record in latest.values()]
        if checked:
            self._upsert(checked)

    def search(
        self,
        queries: Matrix,
        *,
        k: int = 10,
        where: Filter | None = None,
        min_score: float | None = None,
        effort: int | None = None,
    ) -> list[list[Hit]]:
        """Return for each row of `queries`, shape (n, dim), at most `k` hits, nearest first.

        `effort` is the index's search breadth (HNSW `ef`, IVF `nprobe`); None takes a default
        that favours recall. The order of exact ties is unspecified.

        Raises:
            ConfigError: `k` is not in 1 to 16,384, or `effort` is below 1.
            DimensionMismatch, VectorInvalid: as for `upsert`.
            FieldInvalid: `where` names an undeclared field or compares it with another type.
        """
        if not 1 <= k <= MAX_K:
            raise ConfigError(f"k must be in 1 to {MAX_K:,}, not {k}")
        if effort is not None and effort < 1:
            raise ConfigError(f"effort must be at least 1, not {effort}")
        self._check_filter(where)
        matrix = self._check_vectors(queries)
        if not len(matrix):
            return []
        found = self._search(matrix, k=k, where=where, effort=effort)
        if min_score is None:
            return found
        return [[hit for hit in hits if hit.score >= min_score] for hits in found]

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return the records of those `ids` that exist, by id."""
        return self._get(list(dict.fromkeys(ids)), vectors=vectors) if ids else {}

    def delete(self, ids: Sequence[str]) -> int:
        """Delete records by id; return how many there were. Unknown ids are passed over."""
        there = list(self.get(ids))
        if there:
            self._delete(there)
        return len(there)

    def count(self, where: Filter | None = None) -> int:
        """Return how many records the collection holds right now, or those that meet `where`."""
        self._check_filter(where)
        return self._count(where)

    def iterate(
        self, *, where: Filter | None = None, vectors: bool = True, batch: int = 500
    ) -> Iterator[Record]:
        """Yield every record once, in no particular order, reading `batch` at a time.

        Records written or deleted meanwhile may or may not be seen.
        """
        self._check_filter(where)
        return self._iterate(where, vectors=vectors, batch=batch)

    @abstractmethod
    def flush(self) -> None:
        """Make everything written durable and bring the index up to date with it."""

    @abstractmethod
    def _upsert(self, records: Sequence[Record]) -> None:
        """Write checked records, ids unique, declared fields filled in, ids of any number."""

    @abstractmethod
    def _search(
        self, queries: Matrix, *, k: int, where: Filter | None, effort: int | None
    ) -> list[list[Hit]]:
        """Search; one list of hits for each query, nearest first."""

    @abstractmethod
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        """Read records of distinct ids, of any number."""

    @abstractmethod
    def _delete(self, ids: Sequence[str]) -> None:
        """Delete records that exist, of any number."""

    @abstractmethod
    def _count(self, where: Filter | None) -> int:
        """Count."""

    @abstractmethod
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        """Stream all records."""

    def _checked(self, record: Record) -> Record:
        if not record.id or len(record.id.encode()) > MAX_ID:
            raise FieldInvalid(f"an id has 1 to {MAX_ID} bytes, not {record.id[:80]!r}")
        if record.vector is None:
            raise VectorInvalid(f"record {record.id!r} has no vector")
        fields: dict[str, Value] = {name: ZEROS[kind] for name, kind in self.schema.fields.items()}
        for name, value in record.fields.items():
            fields[name] = self._check_value(name, value)
        return Record(record.id, self._check_vectors(record.vector[None])[0], fields)

    def _check_value(self, name: str, value: Value) -> Value:
        kind = self.schema.fields.get(name)
        if kind is None:
            check_field_name(name)
            allowed: tuple[type, ...] = (str, int, float, bool)
        else:
            allowed = _PYTHON[kind]
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            raise FieldInvalid(
                f"field {name!r} takes {kind or 'plain values'}, not {type(value).__name__}"
            )
        if isinstance(value, str) and len(value.encode(errors="surrogatepass")) > MAX_TEXT:
            raise FieldInvalid(f"field {name!r} takes at most {MAX_TEXT:,} bytes of text")
        return float(value) if kind == "float" else value

    def _check_filter(self, where: Filter | None) -> None:
        for name, value in comparisons(where) if where is not None else ():
            if name not in self.schema.fields:
                declared = ", ".join(self.schema.fields) or "none"
                raise FieldInvalid(
                    f"collection {self.name!r} cannot filter on {name!r}; declared: {declared}"
                )
            self._check_value(name, value)

    def _check_vectors(self, vectors: Matrix) -> Matrix:
        matrix = np.ascontiguousarray(vectors, dtype=np.float32)
        if matrix.ndim != 2 or matrix.shape[1] != self.schema.dim:
            got = matrix.shape[-1] if matrix.ndim else 0
            raise DimensionMismatch(
                f"collection {self.name!r} holds {self.schema.dim}-d vectors, got shape "
                f"{vectors.shape}; was another encoder used?",
                expected=self.schema.dim,
                got=got,
            )
        if not np.isfinite(matrix).all():
            raise VectorInvalid("a vector holds NaN or infinity")
        if not matrix.any(axis=1).all():
            raise VectorInvalid("a vector holds only zeros; it has no direction to compare")
        return matrix


class VectorBackend(ABC):
    """A store of named collections, opened by `imgsearch.backends.connect`. Thread-safe."""

    url: str
    capabilities: Capabilities

    @abstractmethod
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        """Open the store at `url`, in its one spelling (`imgsearch.backends.canonical`)."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""

    @abstractmethod
    def create(self, name: str, schema: Schema) -> Collection:
        """Create a collection, or open the one that exists with just this schema.

        Raises:
            ConfigError: the name is no ASCII identifier of at most 64 letters.
            SchemaMismatch: it exists with another dimension, metric, index, fields or encoder.
            IndexRefused: the store cannot build this index with these parameters.
        """

    @abstractmethod
    def open(self, name: str) -> Collection:
        """Open an existing collection, ready to be searched.

        Raises:
            CollectionNotFound: there is none of this name.
        """

    @abstractmethod
    def drop(self, name: str) -> None:
        """Delete a collection and all that is in it.

        Raises:
            CollectionNotFound: there is none of this name.
        """

    @abstractmethod
    def _close(self) -> None:
        """Let go of the driver; called once."""

    _users = 0  # how many `connect` calls share this object; guarded by connect's lock

    def close(self) -> None:
        """Let go of the store; the last user's call closes it."""
        from imgsearch.backends import release

        release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"


def check_name(name: str) -> str:
    """Return a collection's name if every store takes it.

    Raises:
        ConfigError: it is no ASCII identifier of at most 64 letters.
    """
    if not (name.isidentifier() and name.isascii() and len(name) <= 64):
        raise ConfigError(f"collection name {name!r} is no ASCII identifier of at most 64 letters")
    return name


def hit(metric: Metric, similarity: float, id_: str, fields: Mapping[str, Value]) -> Hit:
    """Return the `Hit` for what stores report: a similarity, for L2 the squared distance."""
    match metric:
        case "l2":
            return Hit(id_, 1 - similarity / 2, similarity, fields)
        case "cosine":
            return Hit(id_, similarity, 1 - similarity, fields)
        case _:
            return Hit(id_, similarity, -similarity, fields)


def row_vector(values: Sequence[float]) -> Vector:
    """Return a stored vector as float32, shape (d,)."""
    return np.asarray(values, dtype=np.float32)
