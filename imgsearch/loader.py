"""Chunks of files → a collection: one chunk is embedded while the last one is written."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import pyarrow as pa

from imgsearch import encoders, sources
from imgsearch.backends import Collection, Index, Metric, Schema, VectorBackend
from imgsearch.detector import Detection
from imgsearch.embedding import Embedding
from imgsearch.encoders import Recipe
from imgsearch.errors import FieldInvalid, SchemaMismatch, VectorInvalid
from imgsearch.loading import Entry, FailedFile, Tally, follow
from imgsearch.regions import FIELDS as REGION_FIELDS
from imgsearch.regions import has_regions
from imgsearch.types import Matrix, Record, Vector

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
        regions: Detection | None = None,
    ) -> None:
        self._backend, self._name, self.collection = backend, name, collection
        self._recipe, self._index, self._metric = recipe, index, metric
        if regions and collection is not None and not has_regions(collection):
            raise SchemaMismatch(
                f"collection {name!r} was made without regions; add them to another one"
            )
        self._embed = Embedding(recipe, regions)

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
                        self.collection = created(
                            self._backend,
                            self._name,
                            recipe=self._recipe,
                            index=self._index,
                            metric=self._metric,
                            regions=bool(self._embed.regions),
                        )
                    labels = {id_: label for _, label, id_, _ in fresh}
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


def created(
    backend: VectorBackend,
    name: str,
    *,
    recipe: Recipe,
    index: str,
    metric: Metric,
    regions: bool = False,
) -> Collection:
    """Return the collection `name`, made for the vectors of a recipe's encoder."""
    encoder = encoders.load(**recipe.config()).fingerprint
    names = (*FIELDS, *REGION_FIELDS) if regions else FIELDS
    fields = dict.fromkeys(names, "str")
    schema = Schema(
        encoder.dim,
        metric,
        Index.parse(index),
        fields,  # type: ignore[arg-type]  # "str" is one of the literal's
        encoder,
        recipe.to_json(),
    )
    return backend.create(name, schema)


def _settle(written: "Future[_Written] | None", ids: Sequence[str], tally: Tally) -> None:
    """Wait until a chunk is written, and count it."""
    if written is not None:
        failures = written.result()
        for failed in failures:
            tally.failed(failed)
        tally.count("added", len(ids) - len(failures))
    tally.tell()


def _write(collection: Collection, made: pa.RecordBatch, labels: Mapping[str, str]) -> _Written:
    """Write a batch's vectors; return the files that did not go in, for which a region is none."""
    failures: _Written = []
    records: list[Record] = []
    vectors = iter(vectors_of(made))
    for row in made.drop_columns("vector").to_pylist():
        if row["status"] == "ok":
            records.append(_record(row, next(vectors), labels))
        elif not row.get("box"):
            name, _, reason = row["error"].partition(": ")
            failures.append(FailedFile(row["source"], row["status"], name, reason))
    try:
        collection.upsert(records)
    except _ROW_AT_FAULT:
        failures += _one_by_one(collection, records)
    return failures


def _record(row: Mapping[str, Any], vector: Vector, labels: Mapping[str, str]) -> Record:
    fields = {"path": row["source"], "label": sources.printable(labels[row["sha256"]])}
    fields |= {name: row[name] for name in REGION_FIELDS if name in row}
    return Record(row["id"], vector, fields)


def _one_by_one(collection: Collection, records: Sequence[Record]) -> _Written:
    """Write what can be written of a batch that was refused for some of its rows."""
    failures: _Written = []
    for record in records:
        try:
            collection.upsert([record])
        except _ROW_AT_FAULT as error:
            failures.append(FailedFile.of(str(record.fields["path"]), error))
    return failures


def vectors_of(made: pa.RecordBatch) -> Matrix:
    """Return the vectors that are there, float32 (n, d), in the order of their rows."""
    there = made.column("vector").drop_null()
    values = there.flatten().to_numpy()
    return np.asarray(values, dtype=np.float32).reshape(len(there), -1) if len(there) else values
