"""Writes images to an archive in a crash-safe order.

The order is: original → catalog (pending) → vector → catalog (ready). A crash leaves an original
without a row, which `repair` deletes, or a pending row, which `repair` finishes.

A deletion of the same content may run at the same time. Pending rows and deletion marks are written
in catalog transactions. So a deletion that starts after the pending row was created keeps the
original. An earlier deletion may remove it, so the original is written again after the pending row.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from imgsearch.archive.originals import Originals
from imgsearch.archive.records import first_rows, known_contents, records_of
from imgsearch.archive.upload import EmbeddedRow, EmbeddedRows, Upload, by_content
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import (
    ConfigError,
    FieldInvalid,
    ImageBusy,
    ImageExists,
    ImgSearchError,
    VectorInvalid,
)
from imgsearch.images import sources
from imgsearch.library.library import Library
from imgsearch.types import Failure

_PATIENCE: Final = 10.0  # seconds to wait for a deletion of the same content


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a write: the ids of new rows, and failures by row id."""

    new: frozenset[str] = frozenset()
    failures: Mapping[str, Failure] = field(default_factory=dict)


class Writer:
    """Writes embedded images to one collection. `on_step` is called with each completed step."""

    def __init__(
        self,
        library: Library,
        catalog: Catalog,
        originals: Originals,
        *,
        on_step: Callable[[str], None],
    ) -> None:
        self._library, self._catalog, self._originals = library, catalog, originals
        self._on_step, self._version = on_step, library.version

    def write(self, uploads: Sequence[Upload], embedded: EmbeddedRows) -> Written:
        """Write images with their embedded rows.

        Raises:
            BackendError, CatalogError, ObjectStoreError: a store failed.
        """
        failures: dict[str, Failure] = {}
        if not uploads:
            return Written()
        self._originals.put(uploads)
        self._on_step("original")
        pending = self._begin(uploads, failures)
        if not pending:
            return Written(failures=failures)
        self._on_step("pending")
        self._originals.put(
            pending
        )  # again, because a deletion before the pending row may have removed it
        refused = self._insert(pending, embedded)
        self._on_step("vector")
        accepted = [upload.entry.id for upload in pending if upload.entry.id not in refused]
        new = self._catalog.ready(accepted)
        self._catalog.failed({id_: str(error) for id_, error in refused.items()})
        self._on_step("ready")
        self._originals.put_thumbnails(upload for upload in pending if upload.entry.id in new)
        for upload in pending:
            if upload.entry.id in refused:
                failures[upload.entry.id] = _failure(upload, refused[upload.entry.id])
        return Written(frozenset(new), failures)

    def _begin(self, uploads: Sequence[Upload], failures: dict[str, Failure]) -> list[Upload]:
        """Create pending rows and return their images. Other images are added to `failures`."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._catalog.begin([upload.entry for upload in uploads])
            except ImageBusy as error:
                if time.monotonic() >= deadline:
                    return self._one_by_one(uploads, failures, error)
                time.sleep(0.05)
                self._originals.put(uploads)
            except (ConfigError, ImageExists) as error:  # for example, a label is too long
                return self._one_by_one(uploads, failures, error)
            else:
                return list(uploads)

    def _one_by_one(
        self, uploads: Sequence[Upload], failures: dict[str, Failure], error: ImgSearchError
    ) -> list[Upload]:
        if len(uploads) == 1:
            failures[uploads[0].entry.id] = _failure(uploads[0], error)
            return []
        return [pending for upload in uploads for pending in self._begin([upload], failures)]

    def _insert(
        self, pending: Sequence[Upload], embedded: EmbeddedRows
    ) -> dict[str, ImgSearchError]:
        """Write the missing vectors. Returns the errors of rejected rows by id.

        Existing vectors are looked up again, because another program may have written or deleted
        some.
        """
        entries = {upload.entry.content: upload.entry for upload in reversed(pending)}
        missing = entries.keys() - known_contents(self._library, list(entries))
        complete = dict(embedded)
        if lost := missing - complete.keys():
            again = [upload for upload in pending if upload.entry.content in lost]
            complete |= by_content(
                self._library.embed_rows([(upload.entry.name, upload.data) for upload in again])
            )[0]
        lacking = [entry for entry in entries.values() if entry.content in missing]
        first = first_rows(self._catalog, self._library.name, lacking)
        refused = self._insert_records(
            [(entry, complete.get(entry.content, [])) for entry in first]
        )
        return {
            upload.entry.id: refused[upload.entry.content]
            for upload in pending
            if upload.entry.content in refused
        }

    def _insert_records(
        self, rows: Sequence[tuple[Entry, Sequence[EmbeddedRow]]]
    ) -> dict[str, ImgSearchError]:
        """Write records. Returns the errors of rejected records by content."""
        records = [record for entry, own in rows for record in records_of(entry, own)]
        try:
            self._library.insert(records, version=self._version)
        except (FieldInvalid, VectorInvalid) as error:
            if len(rows) == 1:
                return {rows[0][0].content: error}
            parts = [self._insert_records([row]) for row in rows]
            return {content: fault for part in parts for content, fault in part.items()}
        return {}


def _failure(upload: Upload, error: ImgSearchError) -> Failure:
    return Failure.of(sources.printable(upload.entry.name), error)
