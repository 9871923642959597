"""The interface of collections. A test suite checks it for every store.

The public methods check arguments and post-process results for all stores. A store implements the
underscore methods, and can rely on these checks.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np

from imgsearch.backends.checks import (
    check_records,
    check_vectors,
    checked_filter,
    id_fault,
)
from imgsearch.backends.filter_plan import Plan, weakened
from imgsearch.backends.schema import Schema
from imgsearch.backends.word_search import WordSearch
from imgsearch.errors import ConfigError, EncoderMismatch, SchemaMismatch
from imgsearch.fields import ZEROS
from imgsearch.filters import Filter, Leaf, Where, to_filter
from imgsearch.types import (
    Fingerprint,
    Hit,
    Matrix,
    Record,
    Value,
    Vector,
    check_breadth,
    check_score,
)

MAX_BATCH: Final = 16_384  # the most rows that Milvus returns for a query


class Collection(WordSearch):
    """A named set of records with the same schema. Thread-safe.

    `foreign` is True if another program created the collection, which then has no imgsearch schema.
    """

    key: str = "id"  # the name of the store's primary key

    def __init__(self, name: str, schema: Schema, *, foreign: bool = False) -> None:
        self.name, self.schema, self.foreign = name, schema, foreign
        self.writes = 0  # calls that wrote or deleted records by this object

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.schema.dim}-d {self.schema.metric}>"

    @property
    def keeps_notes(self) -> bool:
        """Whether measurements about the collection, such as thresholds, are kept in its store.

        A read-only collection, another program's and one without an encoder keep none.
        """
        return not self.foreign and self.schema.encoder is not None

    def require(self, encoder: Fingerprint, *, named: bool = True) -> None:
        """Check that an encoder's vectors can be compared with the collection's.

        A collection without a fingerprint accepts any encoder with its dimension, but only if the
        user named the encoder (`named` is True).

        Raises:
            EncoderMismatch: another encoder made the collection's vectors, or the collection has
                no fingerprint and the user named no encoder.
            EncoderRemoved: the encoder that made the collection's vectors was removed.
        """
        mine = self.schema.encoder
        if mine is None and not named:
            raise unnamed_encoder_error(self)
        if mine in (None, encoder) and encoder.dim == self.schema.dim:
            return
        self.schema.require_current_encoder()
        theirs = mine.identity() if mine else {"dim": self.schema.dim}
        ours = encoder.identity()
        differing = [
            f"{name}: {value!r} there, {ours[name]!r} here"
            for name, value in theirs.items()
            if value != ours[name]
        ]
        raise EncoderMismatch(
            f"collection {self.name!r} holds another encoder's vectors ({'; '.join(differing)}). "
            "Use that encoder, or add the images again to a new collection."
        )

    def require_own(self) -> None:
        """Check that imgsearch created the collection.

        Raises:
            SchemaMismatch: another program created it.
        """
        if self.foreign:
            raise SchemaMismatch(
                f"collection {self.name!r} was not created by imgsearch, so imgsearch does not "
                "write to it. Choose another collection name."
            )

    def require_encoder(self) -> None:
        """Check that the collection has an encoder fingerprint.

        Raises:
            SchemaMismatch: the collection has no fingerprint, or another program created it.
        """
        self.require_own()
        if self.schema.encoder is None:
            raise SchemaMismatch(
                f"collection {self.name!r} does not say which encoder made its vectors, so "
                "imgsearch does not write to it. Choose another collection name."
            )

    def encoder_warning(self, model: str) -> str:
        """Return a warning if the collection has no encoder fingerprint, otherwise ""."""
        if self.schema.encoder is not None:
            return ""
        return (
            f"nothing vouches that {model!r} made the vectors of collection {self.name!r}. If "
            "another encoder made them, the hits are meaningless."
        )

    def upsert(self, records: Iterable[Record], *, foreign: bool = False) -> None:
        """Insert or replace records by id; they are searchable when the call returns.

        If several records have the same id, the last one is written. A replaced record keeps none
        of its old fields. A missing declared field becomes the zero value of its type: "", 0, 0.0
        or False. After a store error some of the records may be written; a second call writes the
        rest. If `foreign` is True, the collection may belong to another program.

        Raises:
            SchemaMismatch: another program created the collection, and `foreign` is False.
            DimensionMismatch: the shape of a vector is not (dim,).
            VectorInvalid: a vector is missing, contains NaN, infinity or only zeros, or its
                squared norm is out of float32's range.
            FieldInvalid: an id is empty or longer than 512 bytes; a field has an invalid name or
                type; a text, or all undeclared fields of a record as JSON, are longer than 65,535
                bytes; a text contains NUL or a lone surrogate; a float is not finite; or an integer
                is 2**63 or more in absolute value. In these cases no record is written.
            CollectionNotFound: the collection was dropped. All methods can raise this error.
        """
        if not foreign:
            self.require_own()
        checked = check_records(self.schema, records)
        if checked:
            self._upsert(checked)
            self.writes += 1

    def search(
        self,
        queries: Matrix,
        *,
        k: int = 10,
        offset: int = 0,
        where: Where | None = None,
        min_score: float | None = None,
        effort: int | None = None,
    ) -> list[list[Hit]]:
        """Return at most `k` hits for each row of `queries`, shape (n, dim), nearest first.

        The nearest `offset` hits are skipped: page p with 10 hits a page is
        ``k=10, offset=10 * p``. A page costs as much as all pages up to it. An approximate index
        may repeat or miss hits between pages; a fixed high `effort` makes that rare. `effort` is
        the index's search breadth (HNSW `ef`, IVF `nprobe`); the default favors recall. The order
        of exact ties is unspecified. `where` is a filter in any of its forms; see
        `imgsearch.filters`. It ignores the Unicode normalization form of texts, except in ordered
        comparisons: "é" equals "e" with a combining accent. Conditions that the store cannot
        translate are evaluated here: at most 16,384 nearest rows are read for a query, and the
        whole collection if that is not enough.

        Raises:
            ConfigError: `k` is below 1, `offset` is below 0, their sum is above 16,384, `effort` is
                below 1, or `min_score` is not a finite number.
            DimensionMismatch, VectorInvalid: as for `upsert`.
            FieldInvalid: `where` is not a filter, names an undeclared field, compares a field with
                a value of another type, or orders booleans.
        """
        check_breadth(k, offset, effort)
        threshold = None if min_score is None else check_score("min_score", min_score)
        plan = self._plan(where)
        matrix = check_vectors(self.schema, queries)
        if not len(matrix):
            return []
        if plan.is_native:
            results = self._search(matrix, k=k + offset, where=plan.native, effort=effort)
        else:
            results = self._filtered(matrix, k + offset, plan, effort)
        if offset:
            results = [hits[offset:] for hits in results]
        if threshold is None:
            return results
        return [[hit for hit in hits if hit.score >= threshold] for hits in results]

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Record]:
        """Return records by id. Unknown ids are omitted."""
        possible = [id_ for id_ in dict.fromkeys(ids) if not id_fault(id_)]
        return self._get(possible, vectors=vectors) if possible else {}

    def delete(self, ids: Sequence[str], *, foreign: bool = False) -> int:
        """Delete records by id and return the number of deleted records. Unknown ids are ignored.

        If `foreign` is True, the collection may belong to another program.

        Raises:
            SchemaMismatch: another program created the collection, and `foreign` is False.
        """
        if not foreign:
            self.require_own()
        known_ids = list(self.get(ids))
        if known_ids:
            self._delete(known_ids)
            self.writes += 1
        return len(known_ids)

    def count(self, where: Where | None = None) -> int:
        """Return the number of records, or of the records that match `where`.

        A Milvus server counts an id twice if another program inserted it twice; see `doubled`.
        """
        plan = self._plan(where)
        if plan.is_native:
            return self._count(plan.native)
        rows = self._iterate(plan.native, vectors=False, batch=MAX_BATCH)
        return sum(plan.accepts(row.fields) for row in rows)

    def iterate(
        self, *, where: Where | None = None, vectors: bool = True, batch: int = 500
    ) -> Iterator[Record]:
        """Yield every record once, in no particular order, reading `batch` records at a time.

        If a server has several rows with the same id, one of them is yielded and the number of
        repeated rows is logged. Records written or deleted during the iteration may be missing.

        Raises:
            ConfigError: `batch` is not in 1 to 16,384.
            FieldInvalid: as for `search`.
        """
        if not 1 <= batch <= MAX_BATCH:
            raise ConfigError(f"batch must be in 1 to {MAX_BATCH:,}, not {batch}")
        plan = self._plan(where)
        rows = self._iterate(plan.native, vectors=vectors, batch=batch)
        return rows if plan.is_native else (row for row in rows if plan.accepts(row.fields))

    def matcher(self, where: Where | None) -> Callable[[Mapping[str, Value]], bool]:
        """Return a function that returns whether a record's fields match a filter.

        Raises:
            FieldInvalid: as for `search`.
        """
        return self._plan(where).accepts

    def translates(self, leaf: Leaf) -> bool:  # noqa: ARG002  # for stores with fewer conditions
        """Return whether the store evaluates a condition. imgsearch evaluates all others.

        `leaf` is a `Compare`, `In`, `StartsWith` or `Glob` on a declared field.
        """
        return True

    def _plan(self, where: Where | None) -> Plan:
        """Return a checked filter, divided between the store and imgsearch."""
        if where is None:
            return Plan(None, None, {})
        checked = checked_filter(self.schema, to_filter(where))
        zeros = {name: ZEROS[kind] for name, kind in self.schema.fields.items()}
        return Plan(checked, weakened(checked, self.translates), zeros)

    def _filtered(self, queries: Matrix, k: int, plan: Plan, effort: int | None) -> list[list[Hit]]:
        """Return the nearest `k` hits that match a filter which the store evaluates in part."""

        def search(rows: Matrix, limit: int) -> list[list[Hit]]:
            return self._search(rows, k=limit, where=plan.native, effort=effort)

        def scan() -> Iterator[Record]:
            return self._iterate(plan.native, vectors=False, batch=MAX_BATCH)

        def read(ids: Sequence[str]) -> dict[str, Record]:
            return self._get(ids, vectors=True)

        return plan.search(queries, k, schema=self.schema, search=search, scan=scan, read=read)

    def doubled(self, where: Filter | None = None) -> int:  # noqa: ARG002  # for servers
        """Return the number of rows that repeat an id. Only a Milvus server can hold such rows.

        Plain inserts by other programs create them. `iterate`, `get` and `search` return one row
        for each id, and `upsert` replaces all rows with the id by one. `doubled` reads all ids.
        """
        return 0

    def indexed(self) -> int:
        """Return the number of indexed records, as the store reports it.

        Milvus searches records outside the index by brute force. Stores without an index return
        `count()`.
        """
        return self.count()

    def settle(self, *, seconds: float = 60.0) -> int:  # noqa: ARG002  # for servers
        """Wait until searches use the index. Returns the number of records found through the index.

        Benchmarks call it after `flush`, because a server may search indexed rows by brute force
        for a while, and a small number of rows always. Waits at most `seconds`.
        """
        return self.indexed()

    @contextmanager
    def bulk_writes(self) -> Iterator[None]:
        """Return a context manager for writing many records; leaving it builds the index.

        Some stores index each record when it is written otherwise. Records that are written in the
        block may be missing from searches until its end.
        """
        yield

    @abstractmethod
    def flush(self) -> None:
        """Make all writes durable, and wait until they are indexed."""

    @abstractmethod
    def _upsert(self, records: Sequence[Record]) -> None:
        """Write checked records, any number of them, with unique ids and all declared fields."""

    @abstractmethod
    def _search(
        self, queries: Matrix, *, k: int, where: Filter | None, effort: int | None
    ) -> list[list[Hit]]:
        """Return a list of hits for each query, nearest first."""

    @abstractmethod
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        """Return records by id, for any number of distinct ids."""

    @abstractmethod
    def _delete(self, ids: Sequence[str]) -> None:
        """Delete any number of existing records."""

    @abstractmethod
    def _count(self, where: Filter | None) -> int:
        """Return the number of records that match a checked filter."""

    @abstractmethod
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        """Yield the records that match a checked filter."""


def unnamed_encoder_error(collection: Collection | None) -> EncoderMismatch:
    """Return the error for a collection without a fingerprint if the user named no encoder."""
    name = repr(collection.name) if collection is not None else "of another program"
    return EncoderMismatch(
        f"collection {name} does not say which encoder made its vectors. Name that encoder: "
        'model="NAME", or --model NAME.'
    )


def row_vector(values: Sequence[float]) -> Vector:
    """Return a stored vector as float32, shape (d,)."""
    return np.asarray(values, dtype=np.float32)
