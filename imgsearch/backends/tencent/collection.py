"""Reads and writes a collection of Tencent VectorDB, without importing the driver."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from imgsearch.backends.collection import Collection
from imgsearch.backends.conditions import both
from imgsearch.backends.exact import hit
from imgsearch.backends.identity import Described, IdentityCheck, dropped_error, require_same
from imgsearch.backends.tencent.client import search_params
from imgsearch.backends.tencent.filters import between, check_read, rendered, translates
from imgsearch.backends.tencent.schema import PLACE, PLACES, Layout
from imgsearch.errors import CollectionNotFound
from imgsearch.filters import Filter, Leaf
from imgsearch.types import Hit, Matrix, Record

if TYPE_CHECKING:
    from imgsearch.backends.tencent.backend import Backend

# Sources: https://cloud.tencent.com/document/product/1709/103074 and …/95122
DOCUMENTS: Final = 1_000  # documents in an upsert
QUERIES: Final = 20  # vectors in a search
IDS: Final = 20  # ids in a query or delete; the newer page documents 1,000
ROWS: Final = 16_384  # rows in a query result
BYTES: Final = 8 * 2**20  # approximate size of an upsert
WRITES: Final = ("upsert", "delete")
HITS: Final = 65_536  # hits in a search call, over all its queries


class TencentCollection(Collection):
    """A collection. Reads have the consistency in the store's URL, strong by default.

    Over gRPC the SDK rounds scores to 5 decimals; over HTTP they are float32.
    """

    def __init__(self, store: "Backend", described: Described[Layout]) -> None:
        layout, name = described.layout, described.name
        super().__init__(name, layout.schema, foreign=not layout.ours)
        self._store, self._layout, self._trained = store, layout, False
        self._bulk = False  # within `bulk_writes`, by any thread
        self._identity = IdentityCheck(
            lambda: store.described(name).identity, described.identity, drops=lambda: store.drops
        )
        self._adopt(described)

    @override
    def translates(self, leaf: Leaf) -> bool:
        return translates(leaf)

    @override
    def indexed(self) -> int:
        count = self._store.indexed(self.name)
        return self.count() if count is None else count

    @override
    def flush(self) -> None:
        if self.schema.index.kind.startswith("ivf"):
            self._trained = self._store.train(self.name, self.schema) or self._trained
        self._store.await_index(self.name)

    @override
    @contextmanager
    def bulk_writes(self) -> Iterator[None]:
        """Write without indexing, and rebuild the index at the end.

        The index is also rebuilt if an interrupted block left records out of it.
        """
        before, self._bulk = self.writes, True
        try:
            yield
        finally:
            self._bulk = False
        if self.schema.index.kind.startswith("ivf"):
            self.flush()  # it trains the index, if there are enough rows
        elif self.writes > before or self.indexed() < self.count():
            self._store.rebuild(self.name)
            self._store.await_index(self.name)

    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        documents = [self._layout.document(record) for record in records]
        for part in _parts(documents, records, number=self._store.number):
            self._call("upsert", documents=part, build_index=self._trained and not self._bulk)

    @override
    def _search(
        self, queries: Matrix, *, k: int, where: Filter | None, effort: int | None
    ) -> list[list[Hit]]:
        condition = rendered(where, self.schema.fields) or None
        params = search_params(self.schema.index, k, effort)
        step = max(1, min(QUERIES, HITS // k))
        results: list[list[Hit]] = []
        for start in range(0, len(queries), step):
            vectors = queries[start : start + step].tolist()
            matches = self._call(
                "search", vectors=vectors, filter=condition, params=params, limit=k
            )
            # the result may be empty for an empty collection
            results += [self._hits(where, rows) for rows in matches or [[]] * len(vectors)]
        return results

    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        by_id: dict[str, Record] = {}
        for keys in self._keys(ids):
            records = self._query(document_ids=keys, limit=len(keys), retrieve_vector=vectors)
            by_id |= {record.id: record for record in records}
        return by_id

    @override
    def _delete(self, ids: Sequence[str]) -> None:
        for keys in self._keys(ids):
            self._call("delete", document_ids=keys)

    @override
    def _count(self, where: Filter | None) -> int:
        return self._counted(rendered(where, self.schema.fields))

    @override
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        pages = self._ranges if self._layout.ours else self._pages
        # rendered here, so that an invalid filter is rejected before the iteration starts
        read = pages(rendered(where, self.schema.fields), batch, retrieve_vector=vectors)
        return (record for records in read for record in check_read(where, records))

    def _ranges(self, condition: str, batch: int, **options: Any) -> Iterator[list[Record]]:
        """Yield records in ranges of their field `PLACE`, with one query for each range.

        The service has only offset paging, which skips records if others are deleted.
        """
        pending = [(0, PLACES)]
        most = min(batch, ROWS - 1)
        while pending:
            low, high = pending.pop()
            within = between(PLACE, low, high) if high - low < PLACES else ""
            some = both(condition, within)
            records = self._query(filter=some or None, limit=most + 1, **options)
            if len(records) <= most or high - low == 1:
                yield records
                continue
            # 25 % more ranges than needed on average; some are split again
            parts = max(2, math.ceil(1.25 * self._counted(some) / most))
            step = -(-(high - low) // parts)
            pending += [(at, min(at + step, high)) for at in range(low, high, step)][::-1]

    def _pages(self, condition: str, batch: int, **options: Any) -> Iterator[list[Record]]:
        """Yield records with offset paging, because other programs' documents have no `PLACE`."""
        offset, most = 0, min(batch, ROWS)
        while records := self._query(
            filter=condition or None, limit=most, offset=offset, **options
        ):
            yield records
            offset += len(records)

    def _query(self, **options: Any) -> list[Record]:
        rows: list[Mapping[str, Any]] = self._call("query", **options)
        return [self._layout.record(row) for row in rows]

    def _counted(self, condition: str) -> int:
        return int(self._call("count", filter=condition or None))

    def _check_identity(self, *, now: bool) -> None:
        """If another collection replaced this one, continue with it if the schemas are equal.

        Raises:
            SchemaMismatch: the schemas differ.
        """
        if self._identity.changed(now=now):
            self._adopt(self._store.described(self.name))

    def _adopt(self, described: Described[Layout]) -> None:
        layout = described.layout
        require_same(self.name, self.schema, layout.schema)
        self._layout, self.schema, self.foreign = layout, layout.schema, not layout.ours
        # an IVF index accepts rows only after training, which `flush` starts
        self._trained = described.indexed or not self.schema.index.kind.startswith("ivf")
        self._identity.accept(described.identity)

    def _call(self, method: str, **arguments: Any) -> Any:
        """Call an idempotent client method for this collection.

        Raises:
            CollectionNotFound: the collection was dropped.
            SchemaMismatch: another collection has its name now.
        """
        try:
            self._check_identity(now=method in WRITES)
            # on the client, because its `collection` object ignores the read consistency
            return self._store.calls(
                lambda client, seconds: getattr(client, method)(
                    self._store.database, self.name, timeout=seconds, **arguments
                )
            )
        except CollectionNotFound as error:
            raise dropped_error(self.name, self._store.url) from error.__cause__

    def _keys(self, ids: Sequence[str]) -> Iterator[list[str]]:
        keys = [self._layout.to_key(id_) for id_ in ids]
        for start in range(0, len(keys), IDS):
            yield keys[start : start + IDS]

    def _hits(self, where: Filter | None, rows: Sequence[Mapping[str, Any]]) -> list[Hit]:
        records = check_read(where, [self._layout.record(row) for row in rows])
        return [
            hit(self.schema.metric, float(row["score"]), record.id, record.fields)
            for row, record in zip(rows, records, strict=True)
        ]


def _parts(
    documents: Sequence[dict[str, Any]], records: Sequence[Record], *, number: int
) -> Iterator[list[Any]]:
    """Split documents into requests of a limited size. `number` is the size of a float in bytes."""
    part: list[Any] = []
    size = 0
    for document, record in zip(documents, records, strict=True):
        texts = sum(len(v.encode()) for v in document.values() if isinstance(v, str))
        dim = 0 if record.vector is None else len(record.vector)
        weight = number * dim + texts + 512  # bytes for names, numbers and brackets
        if part and (len(part) == DOCUMENTS or size + weight > BYTES):
            yield part
            part, size = [], 0
        part.append(document)
        size += weight
    yield part
