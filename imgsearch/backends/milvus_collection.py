"""Reading and writing one Milvus collection. The driver itself stays in `milvus`."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from imgsearch.backends.collection import MAX_BATCH, MAX_K, Collection
from imgsearch.backends.identity import Described, IdentityCheck, dropped_error, require_same
from imgsearch.backends.milvus_filter import after, among, both, rendered
from imgsearch.backends.milvus_layout import Layout
from imgsearch.backends.milvus_schema import search_params
from imgsearch.backends.names import FieldNames
from imgsearch.errors import BackendError, CollectionNotFound
from imgsearch.filters import Filter
from imgsearch.types import Hit, Matrix, Record, Vector

if TYPE_CHECKING:
    from imgsearch.backends.milvus import Backend

_log = logging.getLogger(__name__)

CHUNK: Final = 500  # ids named in one expression: at most 256 kB of text
KEYS: Final = 65_536  # keys that iterating lite reads at once: at most 32 MB of text
ROWS: Final = 1_000  # rows upserted at once
BYTES: Final = 16 * 2**20  # … and their size: servers take messages of 64 MB
HITS: Final = 65_536  # hits asked for at once, over all queries of a call
QUERIES: Final = 256  # queries a call; servers take 16,384
LEAST: Final = 1_024  # rows of a segment that servers index at all, as they are shipped
RELEASED: Final = (101, 103, 201, 202)  # a collection or partition is not loaded, or not wholly
UNEXPECTED: Final = 65_535  # what Milvus 2.3.5 says to a search that a release overtakes, e.g.
TRIES: Final = 6  # of a call on a collection that others release meanwhile


class MilvusCollection(Collection):
    """A loaded collection, read with Session consistency: it sees what this process wrote."""

    def __init__(self, store: "Backend", described: Described[Layout], names: FieldNames) -> None:
        layout, name = described.layout, described.name
        super().__init__(name, layout.schema, foreign=not layout.ours)
        self._store, self._connection = store, store.connection
        self._layout, self._names = layout, names
        self.key = layout.key
        self._identity = IdentityCheck(
            lambda: store.identity(name, names), described.identity, drops=lambda: store.drops
        )
        self._loads = 0
        self._loading = threading.Lock()  # taken before the store's turn, never within it

    @override
    def flush(self) -> None:
        if self.foreign:  # its index is its program's
            return
        self._store.refresh(self.name, self.schema)

    @override
    def indexed(self) -> int:
        """Servers count rows that were replaced until they are compacted; lite 3.2.2 says all."""
        found = self._store.index(self.name, self._layout.vector) or {}
        return min(int(found.get("indexed_rows", 0)), self.count())

    @override
    def settle(self, *, seconds: float = 60.0) -> int:
        """Milvus 2.3.5 takes some 10 s after a flush to put the index in place of loose rows."""
        if self._connection.path:
            return self.indexed()
        end, pause, count = time.monotonic() + seconds, threading.Event(), self.count()
        flat = self.schema.index.kind == "flat"  # has no index there, and needs none
        while True:
            loaded = self._call("list_loaded_segments")
            sealed = [part for part in loaded if part.state.name == "Sealed"]
            through = sum(int(part.num_rows) for part in sealed if part.index_name or flat)
            coming = any(part.num_rows >= LEAST and not part.index_name for part in sealed)
            there = sum(part.num_rows for part in sealed) >= count and (flat or not coming)
            if there or time.monotonic() > end:
                return min(count, through)
            pause.wait(0.2)

    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        rows = [self._layout.row(record) for record in records]
        # Lite's upsert keeps old fields that the new row lacks; its insert replaces the row.
        # A server's insert would keep both rows.
        method = "insert" if self._connection.path else "upsert"
        for part in _parts(rows, records):
            self._call(method, part, writing=True)

    @override
    def _search(
        self, queries: Matrix, *, k: int, where: Filter | None, effort: int | None
    ) -> list[list[Hit]]:
        step = max(1, min(QUERIES, HITS // k))
        found: list[list[Hit]] = []
        for start in range(0, len(queries), step):
            answers = self._answers(list(queries[start : start + step]), k, where, effort)
            found += [[self._layout.hit(match) for match in answer[:k]] for answer in answers]
        return found

    def _answers(
        self, queries: list[Vector], k: int, where: Filter | None, effort: int | None
    ) -> list[Any]:
        """Return at least `k` hits for each query, as far as there are any.

        A server applies the limit before it drops the rows that repeat an id, so a short answer
        may hide others: it is asked for twice as many, until no more come.
        """
        answers = list(self._nearest(queries, k, where, effort))
        limit = k
        short = [place for place, answer in enumerate(answers) if len(answer) < k]
        while short and limit < MAX_K and self._connection.path is None:
            limit = min(2 * limit, MAX_K)
            wider = self._nearest([queries[place] for place in short], limit, where, effort)
            grown = {
                place: answer
                for place, answer in zip(short, wider, strict=True)
                if len(answer) > len(answers[place])
            }
            for place, answer in grown.items():
                answers[place] = answer
            short = [place for place, answer in grown.items() if len(answer) < k]
        return answers

    def _nearest(
        self, queries: list[Vector], limit: int, where: Filter | None, effort: int | None
    ) -> Any:
        """Search again where a release overtook a search, which finds nothing then."""
        for _ in range(TRIES):
            loads = self._loads
            answers = self._call(
                "search",
                queries,
                filter=rendered(where, self.schema.fields),
                limit=limit,
                output_fields=self._layout.outputs(),
                search_params={
                    "metric_type": self.schema.metric.upper(),
                    "params": search_params(self.schema.index, limit, effort),
                },
                anns_field=self._layout.vector,
                consistency_level="Session",
            )
            if any(answers) or self._connection.path or self._was_loaded(loads):
                return answers
            self._load(loads)
        raise self._unloaded_error()

    def _was_loaded(self, loads: int) -> bool:
        """Return whether the collection is loaded, and was since `loads` was read."""
        state = self._call("get_load_state")["state"]
        with self._loading:
            return self._loads == loads and state.name == "Loaded"

    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        layout, keys = self._layout, self._layout.keys(ids)
        records: dict[str, Record] = {}
        for start in range(0, len(keys), CHUNK):
            some = among(layout.key, keys[start : start + CHUNK])
            for row in self._query(some, layout.outputs(vectors=vectors)):
                records[str(row[layout.key])] = layout.record(row)
        return records

    @override
    def _delete(self, ids: Sequence[str]) -> None:
        keys = self._layout.keys(ids)
        for start in range(0, len(keys), CHUNK):
            some = among(self._layout.key, keys[start : start + CHUNK])
            self._call("delete", filter=some, writing=True)
        if self._connection.path is None:
            # Session does not cover deletions with pymilvus 3.0.2 and Milvus 2.3.5: a search right
            # after one still finds the row. One Strong read (200 ms) waits until it is gone.
            self._query("", ["count(*)"], consistency_level="Strong")

    @override
    def _count(self, where: Filter | None) -> int:
        rows = self._query(rendered(where, self.schema.fields), ["count(*)"])
        return int(rows[0]["count(*)"])

    @override
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        # pymilvus 3.0.2: its own iterator puts the last id between quotes without escaping it; and
        # ``iterator``, which asks for the order of ids, sets consistency aside, so that a count
        # has to wait for what was just written
        before = self._count(where)
        condition = rendered(where, self.schema.fields)
        columns = self._layout.outputs(vectors=vectors)
        if self._connection.path is None:
            seen = 0
            for rows in self._pages(condition, columns, batch):
                yield from map(self._layout.record, rows)
                seen += len(rows)
            self._report(min(before, self._count(where)) - seen, where)
            return
        # Lite reads and sorts the whole collection for each page of it, but finds rows by their
        # keys at once: few long pages of keys, then the rows
        for keyed in self._pages(condition, [self._layout.key], KEYS):
            keys = [row[self._layout.key] for row in keyed]
            for start in range(0, len(keys), min(batch, CHUNK)):
                some = among(self._layout.key, keys[start : start + min(batch, CHUNK)])
                yield from map(self._layout.record, self._query(some, columns))

    def _pages(self, condition: str, columns: Sequence[str], size: int) -> Iterator[list[Any]]:
        """Yield the rows that meet `condition`, `size` at a time, in the order of their keys.

        A server's page may be short before the end: the limit counts rows that repeat a key.
        """
        key, expression = self._layout.key, condition
        while rows := self._query(expression, columns, limit=size, iterator="True"):
            yield rows
            if self._connection.path and len(rows) < size:
                return
            expression = both(after(key, max(row[key] for row in rows)), condition)

    def _report(self, missing: int, where: Filter | None) -> None:
        """Log why fewer records were read than the server counts rows."""
        if missing <= 0:
            return
        doubled = self.doubled(where)
        if doubled:
            _log.warning(
                "collection %r of %s: %d rows repeat an id, as another program inserted it twice; "
                "each id was read once. `imgsearch copy` keeps one row of each.",
                self.name, self._connection.url, doubled,
            )  # fmt: skip
        if missing > doubled:
            _log.warning(
                "collection %r of %s changed while it was read: %d rows may be missing",
                self.name, self._connection.url, missing - doubled,
            )  # fmt: skip

    @override
    def doubled(self, where: Filter | None = None) -> int:
        if self._connection.path:  # lite's insert replaces
            return 0
        key, condition, repeated = self._layout.key, rendered(where, self.schema.fields), 0
        for rows in self._pages(condition, [key], MAX_BATCH):
            keys = [row[key] for row in rows]
            for start in range(0, len(keys), CHUNK):
                some = keys[start : start + CHUNK]
                (counted,) = self._query(both(among(key, some), condition), ["count(*)"])
                repeated += int(counted["count(*)"]) - len(some)
        return repeated

    def _query(self, expression: str, columns: Sequence[str], **options: Any) -> list[Any]:
        rows: list[Any] = self._call(
            "query",
            filter=expression,
            output_fields=list(columns),
            **{"consistency_level": "Session", **options},
        )
        return rows

    def _call(self, method: str, *arguments: Any, writing: bool = False, **options: Any) -> Any:
        """Return what the client's `method` does, after loading the collection where needed.

        Raises:
            CollectionNotFound: the collection was dropped.
            SchemaMismatch: the name stands for another collection by now.
            BackendError: the collection was released each time that it was loaded.
        """
        if writing:
            self._connection.check_writable()
        for _ in range(TRIES):
            loads = self._loads
            try:
                self._check_identity(now=writing)
                with self._connection.calling() as client:
                    call = getattr(client, method)
                    return call(self.name, *arguments, timeout=self._connection.timeout, **options)
            except CollectionNotFound as error:
                raise dropped_error(self.name, self._connection.url) from error.__cause__
            except BackendError as error:
                if not released(error):
                    raise
            self._load(loads)
        raise self._unloaded_error()

    def _unloaded_error(self) -> BackendError:
        return BackendError(
            f"another program releases collection {self.name!r} of {self._connection.url} again "
            "and again. Stop that program, or load the collection there."
        )

    def _check_identity(self, *, now: bool) -> None:
        """Continue with a collection that replaced this one, if it has the same schema.

        Raises:
            SchemaMismatch: the schemas differ.
        """
        if self._identity.changed(now=now):
            described = self._store.described(self.name, self._names)
            if not described.indexed:
                described = self._store.prepared(self.name, self._names)
            self._adopt(described)

    def _load(self, loads: int) -> None:
        """Load the released collection, unless another thread did so after `loads` was read."""
        with self._loading:
            if self._loads != loads:
                return
            try:
                self._adopt(self._store.prepared(self.name, self._names))
            except BackendError as error:
                if not released(error):
                    raise
            self._loads += 1

    def _adopt(self, described: Described[Layout]) -> None:
        layout = described.layout
        require_same(self.name, self.schema, layout.schema)
        self._layout, self.schema, self.foreign = layout, layout.schema, not layout.ours
        self._identity.accept(described.identity)


def released(error: BackendError) -> bool:
    """Return whether Milvus refused because a collection is not loaded, or just released."""
    code = getattr(error.__cause__, "code", 0)
    return code in RELEASED or (code == UNEXPECTED and "channel not available" in str(error))


def _parts(rows: Sequence[dict[str, Any]], records: Sequence[Record]) -> Iterator[list[Any]]:
    """Cut rows where a message would become too long."""
    part: list[Any] = []
    size = 0
    for row, record in zip(rows, records, strict=True):
        texts = sum(len(v.encode()) for v in record.fields.values() if isinstance(v, str))
        weight = (0 if record.vector is None else record.vector.nbytes) + texts + 1_024
        if part and (len(part) == ROWS or size + weight > BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += weight
    yield part
