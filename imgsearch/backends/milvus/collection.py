"""Reads and writes a Milvus collection, without importing the driver."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from typing_extensions import override

from imgsearch.backends.collection import MAX_BATCH, Collection
from imgsearch.backends.conditions import both
from imgsearch.backends.field_names import FieldNames
from imgsearch.backends.identity import Described, IdentityCheck, dropped_error, require_same
from imgsearch.backends.milvus.filters import after, among, rendered
from imgsearch.backends.milvus.full_text import fusion_options, search_options
from imgsearch.backends.milvus.layout import Layout, packed
from imgsearch.backends.word_search import Fusion
from imgsearch.errors import BackendError, CollectionNotFound
from imgsearch.filters import Filter, Glob, Leaf
from imgsearch.types import MAX_K, Hit, Matrix, Record, Vector

if TYPE_CHECKING:
    from imgsearch.backends.milvus.backend import Backend

_log = logging.getLogger(__name__)

T = TypeVar("T")

CHUNK: Final = 500  # ids in one expression: at most 256 kB of text
KEYS: Final = 65_536  # keys that `_iterate` reads at once from lite: at most 32 MB of text
ROWS: Final = 1_000  # rows in an upsert
BYTES: Final = 16 * 2**20  # size of an upsert; servers accept messages of 64 MB
HITS: Final = 65_536  # hits in a search call, over all its queries
QUERIES: Final = 256  # queries in a search call; servers accept 16,384
LEAST: Final = 1_024  # rows in the smallest segment that servers index by default
RELEASED: Final = (101, 103, 201, 202)  # error codes for a collection that is not fully loaded
UNEXPECTED: Final = (
    65_535  # unspecific error code; Milvus 2.3.5 also uses it for a search during a release
)
TRIES: Final = 6  # attempts for a call while other programs release the collection


class MilvusCollection(Collection):
    """A loaded collection. Reads have Session consistency, so they see this process's writes."""

    def __init__(self, store: "Backend", described: Described[Layout], names: FieldNames) -> None:
        layout, name = described.layout, described.name
        super().__init__(name, layout.schema, foreign=not layout.ours)
        self._store, self._connection = store, store.connection
        self._layout, self._names = layout, names
        self.key = layout.key
        self._identity = IdentityCheck(
            lambda: store.identity(name, names),
            described.identity,
            drops=lambda: store.drops,
            owner=None if store.connection.folder else lambda: store.owner(name),
        )
        self._loads = 0
        self._loading = threading.Lock()  # acquired before the connection's lock, never inside it

    @override
    def translates(self, leaf: Leaf) -> bool:
        # 2.3.5 has `like` for prefixes only; lite 3.2.2 cannot escape its % and _
        return not isinstance(leaf, Glob)

    @override
    def flush(self) -> None:
        if self.foreign:  # the other program maintains its index
            return
        self._store.refresh(self.name, self.schema)

    @override
    def indexed(self) -> int:
        """Return the number of indexed rows, at most the number of records.

        Servers include replaced rows until compaction; lite reports all rows.
        """
        index = self._store.index(self.name, self._layout.vector) or {}
        return min(int(index.get("indexed_rows", 0)), self.count())

    @override
    def settle(self, *, seconds: float = 60.0) -> int:
        """Wait for the index. Milvus 2.3.5 searches use it about 10 s after a flush."""
        if self._connection.path:
            return self.indexed()
        end, pause, count = time.monotonic() + seconds, threading.Event(), self.count()
        flat = self.schema.index.kind == "flat"  # servers build and need no index for it
        while True:
            loaded = self._call("list_loaded_segments")
            sealed = [segment for segment in loaded if segment.state.name == "Sealed"]
            indexed = sum(int(segment.num_rows) for segment in sealed if segment.index_name or flat)
            pending = any(
                segment.num_rows >= LEAST and not segment.index_name for segment in sealed
            )
            complete = sum(segment.num_rows for segment in sealed) >= count
            if (complete and (flat or not pending)) or time.monotonic() > end:
                return min(count, indexed)
            pause.wait(0.2)

    @override
    def _upsert(self, records: Sequence[Record]) -> None:
        if self.schema.partition:  # of another program, which only inserts
            self._store.require_partitions()
        for part in _parts(records):
            self._attempt(partial(self._write, part), writing=True)

    def _write(self, records: Sequence[Record]) -> None:
        self._store.write(self.name, self._layout, records)

    @override
    def _search(
        self, queries: Matrix, *, k: int, where: Filter | None, effort: int | None
    ) -> list[list[Hit]]:
        step = max(1, min(QUERIES, HITS // k))
        hits: list[list[Hit]] = []
        for start in range(0, len(queries), step):
            matches = self._matches(list(queries[start : start + step]), k, where, effort)
            hits += [[self._layout.hit(match) for match in nearest[:k]] for nearest in matches]
        return hits

    @override
    def _search_words(
        self, words: Sequence[str], *, k: int, where: Filter | None
    ) -> list[Hit] | None:
        if not self._layout.has_words:
            return None
        (matches,) = self._call(
            "search",
            filter=rendered(where, self.schema.fields),
            limit=k,
            output_fields=self._layout.outputs(),
            **search_options(words),
        )
        return [self._layout.text_hit(match) for match in matches]

    @property
    @override
    def fuses(self) -> bool:
        return self._layout.has_words

    @override
    def _search_fused(
        self, query: Vector, fusion: Fusion, *, where: Filter | None, effort: int | None
    ) -> list[Hit]:
        options = fusion_options(
            packed(query) if self.schema.is_binary else query,
            self._layout.vector,
            self._search_params(fusion.depth, effort),
            fusion,
            rendered(where, self.schema.fields),
        )
        (matches,) = self._call("hybrid_search", output_fields=self._layout.outputs(), **options)
        return [self._layout.text_hit(match) for match in matches]

    def _search_params(self, limit: int, effort: int | None) -> dict[str, Any]:
        return {
            "metric_type": self.schema.metric.upper(),
            "params": self.schema.index.search_params(limit, effort),
        }

    def _matches(
        self, queries: list[Vector], k: int, where: Filter | None, effort: int | None
    ) -> list[Any]:
        """Return the nearest `k` matches for each query, or all if there are fewer.

        A server removes rows that repeat an id after it applied the limit. So the limit is doubled
        for short results until the server returns no further matches.
        """
        matches = list(self._nearest(queries, k, where, effort))
        limit = k
        short = [place for place, nearest in enumerate(matches) if len(nearest) < k]
        while short and limit < MAX_K and self._connection.path is None:
            limit = min(2 * limit, MAX_K)
            wider = self._nearest([queries[place] for place in short], limit, where, effort)
            grown = {
                place: nearest
                for place, nearest in zip(short, wider, strict=True)
                if len(nearest) > len(matches[place])
            }
            for place, nearest in grown.items():
                matches[place] = nearest
            short = [place for place, nearest in grown.items() if len(nearest) < k]
        return matches

    def _nearest(
        self, queries: list[Vector], limit: int, where: Filter | None, effort: int | None
    ) -> Any:
        """Return at most `limit` matches for each query.

        If the collection is released during a search, a server returns no matches. The search is
        then repeated.
        """
        for _ in range(TRIES):
            loads = self._loads
            matches = self._call(
                "search",
                [packed(query) for query in queries] if self.schema.is_binary else queries,
                filter=rendered(where, self.schema.fields),
                limit=limit,
                output_fields=self._layout.outputs(),
                search_params=self._search_params(limit, effort),
                anns_field=self._layout.vector,
                consistency_level="Session",
            )
            if any(matches) or self._connection.path or self._stayed_loaded(loads):
                return matches
            self._load(loads)
        raise self._unloaded_error()

    def _stayed_loaded(self, loads: int) -> bool:
        """Return whether the collection is loaded and was not reloaded since `loads` was read."""
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
            # Session does not cover deletions with pymilvus 3.0.2 and Milvus 2.3.5: the next search
            # still finds the row. A read with Strong consistency (200 ms) waits for the deletion.
            self._query("", ["count(*)"], consistency_level="Strong")

    @override
    def _count(self, where: Filter | None) -> int:
        rows = self._query(rendered(where, self.schema.fields), ["count(*)"])
        return int(rows[0]["count(*)"])

    @override
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        # The iterator of pymilvus 3.0.2 does not escape the last id. The option ``iterator``, which
        # sorts by id, ignores the consistency level, so a count waits for the latest writes first.
        before = self._count(where)
        condition = rendered(where, self.schema.fields)
        columns = self._layout.outputs(vectors=vectors)
        if self._connection.path is None:
            read = 0
            for rows in self._pages(condition, columns, batch):
                yield from map(self._layout.record, rows)
                read += len(rows)
            self._log_missing(min(before, self._count(where)) - read, where)
            return
        # For each page, lite reads and sorts the whole collection. Reading rows by key is fast, so
        # keys are read in a few long pages, and then rows by key.
        for keyed in self._pages(condition, [self._layout.key], KEYS):
            keys = [row[self._layout.key] for row in keyed]
            for start in range(0, len(keys), min(batch, CHUNK)):
                some = among(self._layout.key, keys[start : start + min(batch, CHUNK)])
                yield from map(self._layout.record, self._query(some, columns))

    def _pages(self, condition: str, columns: Sequence[str], size: int) -> Iterator[list[Any]]:
        """Yield pages of rows that match `condition`, in key order, with at most `size` rows each.

        On a server any page may be short, because the limit includes rows that repeat a key.
        """
        key, expression = self._layout.key, condition
        while rows := self._query(expression, columns, limit=size, iterator="True"):
            yield rows
            if self._connection.path and len(rows) < size:
                return
            expression = both(after(key, max(row[key] for row in rows)), condition)

    def _log_missing(self, missing: int, where: Filter | None) -> None:
        """Log why `missing` rows on the server were not read."""
        if missing <= 0:
            return
        doubled = self.doubled(where)
        if doubled:
            _log.warning(
                "collection %r of %s: %d rows repeat an id, because another program inserted it "
                "twice. Each id was read once. `imgsearch copy` keeps one row of each.",
                self.name, self._connection.url, doubled,
            )  # fmt: skip
        if missing > doubled:
            _log.warning(
                "collection %r of %s changed while it was read: %d rows may be missing",
                self.name, self._connection.url, missing - doubled,
            )  # fmt: skip

    @override
    def doubled(self, where: Filter | None = None) -> int:
        if self._connection.path:  # lite's insert replaces rows
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
        """Call a client method; see `_attempt`."""

        def call() -> Any:
            with self._connection.calling() as client:
                method_of_client = getattr(client, method)
                return method_of_client(
                    self.name, *arguments, timeout=self._connection.timeout, **options
                )

        return self._attempt(call, writing=writing)

    def _attempt(self, call: Callable[[], T], *, writing: bool) -> T:
        """Make a call. If the collection is released, load it and repeat the call.

        Raises:
            CollectionNotFound: the collection was dropped.
            SchemaMismatch: another collection has its name now.
            BackendError: the call failed, or the collection was released after each load.
        """
        if writing:
            self._connection.check_writable()
        for _ in range(TRIES):
            loads = self._loads
            try:
                self._check_identity(now=writing)
                return call()
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
        """If another collection replaced this one, continue with it if the schemas are equal.

        Raises:
            SchemaMismatch: the schemas differ.
        """
        if self._identity.changed(now=now):
            described = self._store.described(self.name, self._names)
            if not described.indexed:
                described = self._store.prepared(self.name, self._names)
            self._adopt(described)

    def _load(self, loads: int) -> None:
        """Load the collection, unless another thread has loaded it since `loads` was read."""
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
    """Return whether a call failed because the collection is not loaded."""
    code = getattr(error.__cause__, "code", 0)
    return code in RELEASED or (code == UNEXPECTED and "channel not available" in str(error))


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Split records into messages of at most `ROWS` rows and `BYTES` bytes.

    A character is counted as the four bytes that it has at most in UTF-8.
    """
    start = size = 0
    for place, record in enumerate(records):
        texts = sum([4 * len(v) for v in record.fields.values() if isinstance(v, str)])
        weight = (0 if record.vector is None else record.vector.nbytes) + texts + 1_024
        if place > start and (place - start == ROWS or size + weight > BYTES):
            yield records[start:place]
            start, size = place, 0
        size += weight
    yield records[start:]
