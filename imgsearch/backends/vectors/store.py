"""The vectors of a job as a read-only store, with exact search in bounded memory."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from typing_extensions import override

from imgsearch.backends.base import Capabilities
from imgsearch.backends.collection import Collection
from imgsearch.backends.exact import hit, similarities
from imgsearch.backends.memory import QUERIES
from imgsearch.backends.read_only import ReadOnlyBackend, ReadOnlyCollection
from imgsearch.backends.schema import METRICS
from imgsearch.backends.vectors.folder import BATCH, JobFolder
from imgsearch.errors import CollectionNotFound, StoreReadOnly
from imgsearch.filters import Filter, leaves, matches
from imgsearch.types import Hit, Matrix, Record, Value

NAME: Final = "images"
"""The name of a job's only collection."""

_KEPT: Final = 512 * 2**20  # bytes of shards in memory
_KEY: Final = 16  # bytes of the hash of an id; two of 10**9 ids collide with probability 10**-21


class Backend(ReadOnlyBackend):
    """The shards of a job that are done when its collection is opened. All writes are refused."""

    @override
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        del timeout  # of servers
        self.folder = JobFolder.open(url, token=token)
        self.url = self.folder.url
        self.capabilities = Capabilities(
            frozenset({"flat"}), persistent=True, shared=True, metrics=frozenset(METRICS)
        )
        self._lock = threading.Lock()
        self._opened: VectorsCollection | None = None

    @override
    def names(self) -> list[str]:
        return [NAME]

    @override
    def open(self, name: str) -> Collection:
        if name != NAME:
            raise CollectionNotFound(f"no collection {name!r} in {self.url}, only {NAME!r}")
        shards = self.folder.shards()
        with self._lock:
            if self._opened is None or self._opened.shards != shards:
                self._opened = VectorsCollection(self.folder, shards, self.refusal)
            return self._opened

    @override
    def _close(self) -> None:
        self._opened = None

    @property
    @override
    def refusal(self) -> StoreReadOnly:
        title = self.folder.files.title
        return StoreReadOnly(
            f"{title} cannot be written: the vectors of a job are read-only. Copy them first: "
            f"imgsearch copy {title} photos.db"
        )


@dataclass(frozen=True, slots=True)
class _Shard:
    """The rows of a shard in memory."""

    ids: pa.Array
    vectors: Matrix
    fields: pa.RecordBatch

    @property
    def size(self) -> int:
        return int(self.vectors.nbytes + self.fields.nbytes + self.ids.nbytes)

    def record(self, row: int, *, vectors: bool) -> Record:
        fields = {name: self.fields.column(name)[row].as_py() for name in self.fields.schema.names}
        vector = self.vectors[row].copy() if vectors else None
        return Record(str(self.ids[row]), vector, fields)


class _Index:
    """The place of each id: a number that counts the rows of all shards. First places win.

    It takes 24 bytes for each row.
    """

    def __init__(self, ids: Iterator[pa.Array], rows: int) -> None:
        keys = bytearray()
        for column in ids:
            keys += b"".join(map(_key, column.to_pylist()))
        self._keys = np.frombuffer(bytes(keys), f"S{_KEY}")
        self._order = np.argsort(self._keys, kind="stable")
        self.kept = np.ones(rows, bool)
        ordered = self._keys[self._order]
        self.kept[self._order[1:][ordered[1:] == ordered[:-1]]] = False
        self.count = int(self.kept.sum())

    def places(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the place of each id, -1 for an unknown one."""
        if not len(self._keys):
            return np.full(len(ids), -1)
        wanted = np.frombuffer(b"".join(map(_key, ids)), f"S{_KEY}")
        at = np.searchsorted(self._keys, wanted, sorter=self._order)
        places = self._order[np.minimum(at, len(self._order) - 1)]
        return np.where(self._keys[places] == wanted, places, -1)


class VectorsCollection(ReadOnlyCollection):
    """The rows of a job's shards. Shards that were read last stay in memory, up to 512 MiB."""

    def __init__(self, folder: JobFolder, shards: list[int], refusal: StoreReadOnly) -> None:
        super().__init__(NAME, folder.schema)
        self.refusal, self.shards = refusal, shards
        self._folder = folder
        self._lock = threading.RLock()
        self._kept: OrderedDict[int, _Shard] = OrderedDict()
        self._loaded: _Index | None = None
        sizes = [folder.count(shard) for shard in shards]
        self._starts = np.cumsum([0, *sizes])

    @override
    def _search(
        self, queries: Matrix, *, k: int, where: Filter | None, effort: int | None
    ) -> list[list[Hit]]:
        index, results = self._index(), []
        for start in range(0, len(queries), QUERIES):
            block = queries[start : start + QUERIES]
            nearest = [
                _Nearest(k, ascending=self.schema.metric in ("l2", "hamming")) for _ in block
            ]
            for place, number in enumerate(self.shards):
                shard, first = self._shard(number), int(self._starts[place])
                rows = self._rows_of(shard, first, where, index)
                scores = similarities(block, shard.vectors, rows, self.schema.metric)
                for best, row in zip(nearest, scores, strict=True):
                    best.offer(row, rows + first)
            results += [self._hits(best) for best in nearest]
        return results

    @override
    def _get(self, ids: Sequence[str], *, vectors: bool) -> dict[str, Record]:
        places = self._index().places(ids)
        known = {int(place): id_ for id_, place in zip(ids, places, strict=True) if place >= 0}
        records = self._read(sorted(known), vectors=vectors)
        by_id = {known[place]: record for place, record in records.items()}
        return {id_: by_id[id_] for id_ in ids if id_ in by_id}

    @override
    def _count(self, where: Filter | None) -> int:
        if where is None:
            return self._index().count
        return sum(1 for _ in self._iterate(where, vectors=False, batch=BATCH))

    @override
    def _iterate(self, where: Filter | None, *, vectors: bool, batch: int) -> Iterator[Record]:
        kept = self._index().kept
        names = ["id", *self.schema.fields, *(["vector"] if vectors else [])]
        place = 0
        for rows in self._folder.vectors(names, shards=self.shards, batch=batch):
            matrix = _matrix(rows, self.schema.dim) if vectors else None
            fields = rows.select(list(self.schema.fields)).to_pylist()
            for row, id_ in enumerate(rows.column("id").to_pylist()):
                if kept[place + row] and (where is None or matches(where, fields[row])):
                    vector = None if matrix is None else matrix[row].copy()
                    yield Record(id_, vector, fields[row])
            place += rows.num_rows

    def _index(self) -> _Index:
        with self._lock:
            if self._loaded is None:
                batches = self._folder.vectors(["id"], shards=self.shards, batch=16_384)
                ids = (batch.column("id") for batch in batches)
                self._loaded = _Index(ids, int(self._starts[-1]))
            return self._loaded

    def _shard(self, number: int) -> _Shard:
        with self._lock:
            if number not in self._kept:
                batches = list(self._folder.vectors(shards=[number], batch=2**30))
                self._kept[number] = _in_memory(batches, self.schema.fields, self.schema.dim)
            self._kept.move_to_end(number)
            while len(self._kept) > 1 and sum(s.size for s in self._kept.values()) > _KEPT:
                self._kept.popitem(last=False)
            return self._kept[number]

    def _rows_of(
        self, shard: _Shard, first: int, where: Filter | None, index: _Index
    ) -> npt.NDArray[np.intp]:
        """Return the rows of a shard that count, and match a filter, ascending."""
        rows = np.flatnonzero(index.kept[first : first + len(shard.vectors)])
        if where is None:
            return rows
        names = sorted({leaf.field for leaf in leaves(where)})
        fields: list[Mapping[str, Value]] = shard.fields.select(names).to_pylist()
        return np.array([row for row in rows if matches(where, fields[row])], np.intp)

    def _hits(self, nearest: "_Nearest") -> list[Hit]:
        records = self._read(sorted(map(int, nearest.places)), vectors=False)
        return [
            hit(
                self.schema.metric,
                float(score),
                records[int(place)].id,
                records[int(place)].fields,
                dim=self.schema.dim,
            )
            for score, place in zip(nearest.scores, nearest.places, strict=True)
        ]

    def _read(self, places: Sequence[int], *, vectors: bool) -> dict[int, Record]:
        """Return the records at ascending places."""
        records: dict[int, Record] = {}
        for place in places:
            at = int(np.searchsorted(self._starts, place, side="right")) - 1
            shard = self._shard(self.shards[at])
            records[place] = shard.record(place - int(self._starts[at]), vectors=vectors)
        return records


class _Nearest:
    """The nearest `k` places of a query so far; of equal scores, the first place."""

    def __init__(self, k: int, *, ascending: bool) -> None:
        self._k, self._sign = k, 1 if ascending else -1
        self.scores: npt.NDArray[np.float64] = np.empty(0)
        self.places: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def offer(self, scores: npt.NDArray[np.float64], places: npt.NDArray[np.int64]) -> None:
        all_scores = np.concatenate([self.scores, scores])
        all_places = np.concatenate([self.places, places])
        kept = np.arange(len(all_scores))
        if self._k < len(kept):
            kept = np.argpartition(self._sign * all_scores, self._k - 1)[: self._k]
        kept = kept[np.lexsort((all_places[kept], self._sign * all_scores[kept]))]
        self.scores, self.places = all_scores[kept], all_places[kept]


def _in_memory(batches: Sequence[pa.RecordBatch], fields: Mapping[str, Any], dim: int) -> _Shard:
    rows = pa.Table.from_batches(batches).combine_chunks().to_batches() if batches else []
    if not rows:
        empty = pa.RecordBatch.from_pylist([], pa.schema([(name, pa.string()) for name in fields]))
        return _Shard(pa.array([], pa.string()), np.empty((0, dim), np.float32), empty)
    (batch,) = rows
    return _Shard(batch.column("id"), _matrix(batch, dim), batch.select(list(fields)))


def _matrix(batch: pa.RecordBatch, dim: int) -> Matrix:
    values = batch.column("vector").flatten()
    # pyarrow's own to_numpy imports pandas
    return np.asarray(np.from_dlpack(values), dtype=np.float32).reshape(-1, dim)


def _key(id_: str) -> bytes:
    return blake2b(id_.encode(errors="surrogatepass"), digest_size=_KEY).digest()
