"""Loads files into a collection: one part is embedded while the previous one is written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from os import path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from imgsearch.backends import Collection
from imgsearch.backends.regions import has_regions
from imgsearch.encoders.detector import Detection
from imgsearch.errors import FieldInvalid, SchemaMismatch, VectorInvalid
from imgsearch.filters import Field
from imgsearch.images import MAX_PIXELS, sources
from imgsearch.images.regions import FIELDS as REGION_FIELDS
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.embedding import Embedding
from imgsearch.library.progress import Candidate, FailedFile, Parts, Tally
from imgsearch.library.repeated_files import RepeatedFiles
from imgsearch.threads import DaemonPool
from imgsearch.types import Matrix, Record, Vector

_ROW_AT_FAULT: Final = (FieldInvalid, VectorInvalid)  # all other store errors end the load


@dataclass(frozen=True, slots=True)
class _Writing:
    """A part that is being written: its files, and a future of the failures by content id."""

    files: Sequence[Candidate]
    failures: "Future[dict[str, FailedFile]]"


class Loader:
    """Loads files into a collection, which is created when the first images are embedded.

    `collection` is None until then.
    """

    def __init__(
        self,
        handle: CollectionHandle,
        *,
        regions: Detection | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._handle, self.collection = handle, handle.known
        if regions and self.collection is not None and not has_regions(self.collection):
            raise SchemaMismatch(
                f"cannot add regions to collection {handle.name!r}: it was created without them. "
                "Add the images to another collection."
            )
        self._embed = Embedding(handle.required_recipe(), regions, max_pixels)

    def load(self, chunks: Iterator[list[Candidate]], tally: Tally) -> None:
        """Embed and write new images; count each file once its content is written.

        Parts are small at first, so even a load that is killed repeatedly makes progress.

        Raises:
            EncoderError: the encoder cannot be built, or is not the collection's encoder.
            BackendError: the store failed; images counted as added are stored.
        """
        repeats, parts = RepeatedFiles(tally, self._path), Parts()
        writing: _Writing | None = None
        with DaemonPool(1, "imgsearch-writer") as writer:
            for chunk in chunks:
                firsts, relabeled = repeats.firsts(chunk)
                self._update(relabeled, tally)
                for part in parts.of(self._unknown(firsts, repeats, tally)):
                    rows = self._embed([(file.path, file.data) for file in part])
                    self._finish(writing, repeats, tally)
                    writing = self._start(writer, part, rows)
                tally.report_progress()
            self._finish(writing, repeats, tally)
        if self.collection is not None:
            self.collection.flush()

    def _unknown(
        self, files: Sequence[Candidate], repeats: RepeatedFiles, tally: Tally
    ) -> list[Candidate]:
        """Return the files whose content is new; update and count all other files."""
        if self.collection is None or not files:
            return list(files)
        known = self.collection.get([file.id for file in files])
        old = [file for file in files if file.id in known]
        self._update(old, tally, known)
        relabeled = [repeat for file in old for repeat in repeats.settle(file)]
        self._update(relabeled, tally)
        return [file for file in files if file.id not in known]

    def _start(
        self, writer: Executor, files: Sequence[Candidate], rows: pa.RecordBatch
    ) -> _Writing:
        if self.collection is None:
            self.collection = self._handle.open_or_create(with_regions=bool(self._embed.regions))
        labels = {file.id: file.label or "" for file in files}
        return _Writing(files, writer.submit(_write, self.collection, rows, labels))

    def _finish(self, writing: _Writing | None, repeats: RepeatedFiles, tally: Tally) -> None:
        """Wait until a part is written; count its files and later files with the same content."""
        if writing is None:
            return
        failures = writing.failures.result()
        relabeled: list[Candidate] = []
        for file in writing.files:
            failure = failures.get(file.id)
            if failure is None:
                tally.count("added")
            else:
                tally.failed(failure)
            relabeled += repeats.settle(file, failure)
        self._update(relabeled, tally)
        tally.report_progress()

    def _update(
        self,
        files: Sequence[Candidate],
        tally: Tally,
        known: Mapping[str, Record] | None = None,
    ) -> None:
        """Write changed labels and paths of stored images, and count the files.

        A label that the source states replaces the stored one. The stored path is replaced only if
        its file no longer exists. `known` maps ids to stored records. Without it only labels are
        written, because the files have the content of earlier files of this load.
        """
        if self.collection is None or not files:
            return
        stored = self.collection.get([file.id for file in files]) if known is None else known
        changes = {
            file.id: _changes(stored[file.id], file, repeats=known is None)
            for file in files
            if file.id in stored  # another program may have removed it
        }
        changed = {content: fields for content, fields in changes.items() if fields}
        rows = [
            replace(row, fields={**row.fields, **changed[row.id.partition("#")[0]]})
            for row in self._rows(list(changed))
        ]
        failures = _upsert(self.collection, rows)
        for failure in failures.values():
            tally.failed(failure)
        tally.count("updated", len(changed) - len(failures))
        tally.count("skipped", len(files) - len(changed))
        tally.clear(sum(fields.get("label") == "" for fields in changed.values()))

    def _rows(self, contents: Sequence[str]) -> list[Record]:
        """Return all rows of the images, with vectors. Rows of regions come first."""
        if self.collection is None or not contents:
            return []
        if not has_regions(self.collection):
            return list(self.collection.get(contents, vectors=True).values())
        rows: Iterable[Record] = self.collection.iterate(where=Field("image").isin(contents))
        return sorted(rows, key=lambda row: "#" not in row.id)

    def _path(self, content: str) -> str:
        """Return the stored path of an image. Returns "" if the collection does not hold it."""
        known = self.collection.get([content]) if self.collection is not None else {}
        return str(known[content].fields.get("path", "")) if content in known else ""


def _changes(record: Record, file: Candidate, *, repeats: bool) -> dict[str, str]:
    """Return the changed fields of a stored image, given a file with the same content."""
    fields: dict[str, str] = {}
    old, new = str(record.fields.get("path", "")), sources.printable(file.path)
    if not repeats and new != old and not path.lexists(old):
        fields["path"] = new
    if file.label is not None and file.label != record.fields.get("label", ""):
        fields["label"] = file.label
    return fields


def _write(
    collection: Collection, rows: pa.RecordBatch, labels: Mapping[str, str]
) -> dict[str, FailedFile]:
    """Write a batch's vectors; return the failures of its images by content id."""
    failures: dict[str, FailedFile] = {}
    records: list[Record] = []
    vectors = iter(vectors_of(rows))
    for row in rows.drop_columns("vector").to_pylist():
        if row["status"] == "ok":
            records.append(_record(row, next(vectors), labels))
        elif not row.get("box"):  # failed regions are left out
            failures[row["sha256"]] = FailedFile.of_row(row)
    return failures | _upsert(collection, records)


def _record(row: Mapping[str, Any], vector: Vector, labels: Mapping[str, str]) -> Record:
    fields = {"path": row["source"], "label": labels[row["sha256"]]}
    fields |= {name: row[name] for name in REGION_FIELDS if name in row}
    return Record(row["id"], vector, fields)


def _upsert(collection: Collection, records: Sequence[Record]) -> dict[str, FailedFile]:
    """Write rows; return the failures of images by content id.

    If a row is refused, the image's later rows are not written. Its own row is the last of them.
    """
    failures: dict[str, FailedFile] = {}
    try:
        collection.upsert(records)
    except _ROW_AT_FAULT:
        pass  # written one by one below, to find the refused rows
    else:
        return failures
    for record in records:
        content = record.id.partition("#")[0]
        if content in failures:
            continue
        try:
            collection.upsert([record])
        except _ROW_AT_FAULT as error:
            failures[content] = FailedFile.of(str(record.fields["path"]), error)
    return failures


def vectors_of(rows: pa.RecordBatch) -> Matrix:
    """Return the non-null vectors of `rows`, float32 (n, d), in the order of the rows."""
    column = rows.column("vector").drop_null()
    values = column.flatten().to_numpy()
    return np.asarray(values, dtype=np.float32).reshape(len(column), -1) if len(column) else values
