"""Chunks of files → a collection: one chunk is embedded while the last one is written."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
import pyarrow as pa

from imgsearch import encoders, sources
from imgsearch.backends import Collection, Index, Metric, Schema, VectorBackend
from imgsearch.embedding import Embedding
from imgsearch.encoders import Recipe
from imgsearch.errors import FieldInvalid, VectorInvalid
from imgsearch.loading import Entry, FailedFile, Tally, follow
from imgsearch.types import Matrix, Record

FIELDS: Final = ("path", "label")
"""What is written beside each vector."""

_Written = list[FailedFile]
_ROW_AT_FAULT: Final = (FieldInvalid, VectorInvalid)  # other store errors end the load


class Loader:
    """Loads files into the collection `name`, created when the first image is there to go in.

    `collection` is that one, None until it is created.
    """

    def __init__(
        self,
        backend: VectorBackend,
        name: str,
        collection: Collection | None,
        *,
        recipe: Recipe,
        index: str,
        metric: Metric,
    ) -> None:
        self._backend, self._name, self.collection = backend, name, collection
        self._recipe, self._index, self._metric = recipe, index, metric
        self._embed = Embedding(recipe)

    def load(self, chunks: Iterator[list[Entry]], tally: Tally) -> None:
        """Embed and write what is new, and count; a chunk counts when it is written.

        Raises:
            EncoderError: the encoder cannot be built, or is not the collection's.
            BackendError: the store failed; what was counted as added is in it.
        """
        written: Future[_Written] | None = None
        ids: list[str] = []
        with ThreadPoolExecutor(1, "imgsearch-writer") as writer:
            for chunk in chunks:
                fresh = self._fresh(chunk, ids)
                tally.count("skipped", len(chunk) - len(fresh))
                made = self._embed([(file, data) for file, _, _, data in fresh]) if fresh else None
                _settle(written, ids, tally)
                written, ids = None, [id_ for _, _, id_, _ in fresh]
                if made is not None:
                    if self.collection is None:
                        self.collection = self._create()
                    labels = [label for _, label, _, _ in fresh]
                    written = writer.submit(_write, self.collection, made, labels)
            _settle(written, ids, tally)
        if self.collection is not None:
            self.collection.flush()

    def _fresh(self, chunk: Sequence[Entry], underway: Sequence[str]) -> list[Entry]:
        """Return the contents that are new; `underway` are being written."""
        fresh = {entry[2]: entry for entry in chunk}
        for id_ in underway:
            fresh.pop(id_, None)
        if self.collection is not None and fresh:
            there = self.collection.get(list(fresh))
            follow(self.collection, [fresh.pop(id_) for id_ in there], there)
        return list(fresh.values())

    def _create(self) -> Collection:
        encoder = encoders.load(**self._recipe.config()).fingerprint
        fields = dict.fromkeys(FIELDS, "str")
        schema = Schema(
            encoder.dim,
            self._metric,
            Index.parse(self._index),
            fields,  # type: ignore[arg-type]  # "str" is one of the literal's
            encoder,
            self._recipe.to_json(),
        )
        return self._backend.create(self._name, schema)


def _settle(written: "Future[_Written] | None", ids: Sequence[str], tally: Tally) -> None:
    """Wait until a chunk is written, and count it."""
    if written is not None:
        failures = written.result()
        for failed in failures:
            tally.failed(failed)
        tally.count("added", len(ids) - len(failures))
    tally.tell()


def _write(collection: Collection, made: pa.RecordBatch, labels: Sequence[str]) -> _Written:
    """Write a batch's vectors; return what did not go in."""
    failures: _Written = []
    records: list[Record] = []
    vectors = iter(_matrix(made.column("vector")))
    columns = (made.column(name).to_pylist() for name in ("id", "source", "status", "error"))
    for id_, path, status, error, label in zip(*columns, labels, strict=True):
        if status == "ok":
            fields = {"path": path, "label": sources.printable(label)}
            records.append(Record(id_, next(vectors), fields))
        else:
            name, _, reason = error.partition(": ")
            failures.append(FailedFile(path, status, name, reason))
    try:
        collection.upsert(records)
    except _ROW_AT_FAULT:
        failures += _one_by_one(collection, records)
    return failures


def _one_by_one(collection: Collection, records: Sequence[Record]) -> _Written:
    """Write what can be written of a batch that was refused for some of its rows."""
    failures: _Written = []
    for record in records:
        try:
            collection.upsert([record])
        except _ROW_AT_FAULT as error:
            failures.append(FailedFile.of(str(record.fields["path"]), error))
    return failures


def _matrix(column: pa.Array) -> Matrix:
    """Return the vectors that are there, float32 (n, d)."""
    there = column.drop_null()
    values = there.flatten().to_numpy()
    return np.asarray(values, dtype=np.float32).reshape(len(there), -1) if len(there) else values
