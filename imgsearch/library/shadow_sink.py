"""Writes the images of a model change to the collection that will replace the current one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

import pyarrow as pa
from typing_extensions import override

from imgsearch.backends import Collection
from imgsearch.backends.regions import WHOLE, has_regions
from imgsearch.errors import ImgSearchError, SourceError
from imgsearch.filters import Field
from imgsearch.images import sources
from imgsearch.images.read_ahead import Early, Read
from imgsearch.images.regions import FIELDS
from imgsearch.library.embedded_rows import embedded_records, upsert
from imgsearch.library.ingest import Sink, Written
from imgsearch.library.progress import Candidate, Tally
from imgsearch.library.stored_files import StoredFiles
from imgsearch.types import Failure, Record, Value

_BATCH: Final = 500  # records compared at once


class ShadowSink(Sink[Record, Candidate]):
    """Writes records of the collection `current` with new vectors to the collection `shadow`.

    Ids, labels and all other fields are kept. `files` reads the images. An image whose
    bytes cannot be read, or have changed, fails and is missing from the shadow. `failed` holds the
    ids of these images, and of images that a user's steps left out; a later sink of the same
    migration gets them, and does not count known images again. `changes` counts the images that
    were written to the shadow or deleted from it.
    """

    def __init__(
        self,
        current: Collection,
        shadow: Collection,
        tally: Tally,
        files: StoredFiles,
        *,
        failed: set[str] | None = None,
    ) -> None:
        self._current, self._shadow, self.tally = current, shadow, tally
        self._files = files
        self._whole = WHOLE if has_regions(current) else None
        self._records: dict[str, Record] = {}  # by id, until the image is written
        # whether the images that the shadow had at first were counted
        self._counted = failed is not None
        self.failed = failed or set()
        self.changes = 0

    def missing(self, *, update: bool) -> Iterator[Record]:
        """Yield the records of images that the shadow lacks, without vectors.

        Images that failed are not yielded again. If `update` is True, changed fields of the other
        images are written to the shadow.
        """
        records = self._current.iterate(where=self._whole, vectors=False)
        while batch := list(islice(records, _BATCH)):
            known = self._shadow.get([record.id for record in batch])
            old = [record for record in batch if record.id in known]
            updated = self._update(old, known) if update else 0
            if not self._counted:
                self.tally.count("updated", updated)
                self.tally.count("skipped", len(old) - updated)
            for record in batch:
                if record.id not in known and record.id not in self.failed:
                    self._records[record.id] = record
                    yield record
        self._counted = True

    def delete_removed(self) -> None:
        """Delete images from the shadow that were removed from the current collection."""
        records, removed = self._shadow.iterate(vectors=False), list[str]()
        while batch := list(islice(records, _BATCH)):
            images = {record.id: record.id.partition("#")[0] for record in batch}
            known = self._current.get(sorted(set(images.values())))
            removed += [id_ for id_, image in images.items() if image not in known]
        self.changes += self._shadow.delete(removed)

    @override
    def early(self, item: Record) -> Early | None:
        early = self._files.early(item)
        if early is None:
            return None
        return Early(early.size, partial(self._checked, item, early.read))

    @override
    def read(self, item: Record, file: Read | None = None) -> Candidate:
        try:
            data = self._checked(item) if file is None else file()
        except ImgSearchError:
            self._fail([item.id])
            raise
        return Candidate(self.path(item), str(item.fields.get("label", "")), item.id, data)

    @override
    def path(self, item: Record) -> str:
        return str(item.fields.get("path") or item.id)

    @override
    def known_path(self, key: str) -> str:
        return key

    @override
    def new(
        self, files: Sequence[Candidate]
    ) -> tuple[Sequence[Candidate], Sequence[tuple[Candidate, Failure | None]]]:
        return files, []

    @override
    def relabel(self, files: Sequence[Candidate]) -> None:
        pass  # ids are unique, so no file repeats another one

    @override
    def to_embed(self, files: Sequence[Candidate]) -> Sequence[Candidate]:
        return files

    @override
    def write(self, files: Sequence[Candidate], rows: pa.RecordBatch) -> Written:
        failures, records = embedded_records(rows, {file.id: file for file in files})
        fields = {file.id: self._records[file.id].fields for file in files}
        present = set(rows.column("sha256").to_pylist())
        left_out = frozenset(file.id for file in files if file.id not in present)
        kept = [_with_fields(record, fields) for record in records]
        return Written(failures | upsert(self._shadow, kept), left_out)

    @override
    def count(self, files: Sequence[Candidate], written: Written) -> None:
        without = written.left_out | written.failures.keys()
        self._fail(without)
        added = [file.id for file in files if file.id not in without]
        for id_ in added:
            self._records.pop(id_, None)
        self.changes += len(added)
        self.tally.count("added", len(added))

    @override
    def finish(self) -> None:
        self._shadow.flush()

    def _checked(self, item: Record, read: Read | None = None) -> bytes:
        """Return the bytes of an image. Thread-safe.

        Raises:
            ImgSearchError: they cannot be read, or have changed.
        """
        data: bytes = self._files.read(item) if read is None else read()
        if sources.content_id(data) != item.id:
            raise SourceError(f"{self.path(item)}: the file has changed since it was added.")
        return data

    def _fail(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            self.failed.add(id_)
            self._records.pop(id_, None)

    def _update(self, records: Sequence[Record], known: Mapping[str, Record]) -> int:
        """Write changed fields of images to the shadow; return the number of changed images."""
        changed = {
            record.id: record.fields
            for record in records
            if dict(record.fields) != dict(known[record.id].fields)
        }
        if not changed:
            return 0
        rows: Iterable[Record] = self._shadow.get(list(changed), vectors=True).values()
        if self._whole is not None:
            rows = self._shadow.iterate(where=Field("image").isin(list(changed)))
        self._shadow.upsert([_with_fields(row, changed) for row in rows])
        self.changes += len(changed)
        return len(changed)


def _with_fields(row: Record, fields: Mapping[str, Mapping[str, Value]]) -> Record:
    """Return a row with the fields of its image, by image id. A region keeps its own fields."""
    image, _, region = row.id.partition("#")
    kept = {name: row.fields[name] for name in FIELDS if region and name in row.fields}
    return replace(row, fields={**fields[image], **kept})
