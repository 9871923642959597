"""Writes images to an archive in an order that a crash cannot turn into a loss.

The order is: original → catalogue (pending) → vector → catalogue (ready). A crash leaves an
original without a row, which `repair` deletes, or a pending row, which `repair` finishes.

A deletion of the same content may run at the same time. Pending rows and deletions are transactions
of the catalogue. So a deletion that starts after the pending row leaves the original alone, and
after the pending row an original that was deleted just before is written again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from imgsearch.archive.labels import first_rows
from imgsearch.archive.reading import Read, known_vectors, media_type, record, vectors_of_images
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
from imgsearch.library.progress import FailedFile
from imgsearch.objects import ObjectStore
from imgsearch.types import Vector

_PATIENCE: Final = 10.0  # seconds to wait for a deletion of the same content
_PUTS: Final = 4  # originals written in parallel


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a write: the ids of new rows, and failures by the ids of rows."""

    new: frozenset[str] = frozenset()
    failures: Mapping[str, FailedFile] = field(default_factory=dict)


class Writing:
    """Writes embedded images of one collection. `step` is called after each step of the order."""

    def __init__(
        self,
        library: Library,
        catalog: Catalog,
        originals: ObjectStore | None,
        *,
        step: Callable[[str], None],
    ) -> None:
        self._library, self._catalog, self._originals = library, catalog, originals
        self._step = step

    @property
    def keeps_originals(self) -> bool:
        """Whether originals are written."""
        return self._originals is not None

    def write(self, read: Sequence[Read], vectors: Mapping[str, Vector]) -> Written:
        """Write images with the vectors of their contents.

        Raises:
            BackendError, CatalogError, ObjectStoreError: a store failed.
        """
        failures: dict[str, FailedFile] = {}
        if not read:
            return Written()
        self._put(read)
        self._step("original")
        pending = self._begin(read, failures)
        if not pending:
            return Written(failures=failures)
        self._step("pending")
        self._put(pending)  # again: a deletion may have come before the pending row
        refused = self._insert(pending, vectors)
        self._step("vector")
        accepted = [image.entry.id for image in pending if image.entry.id not in refused]
        new = self._catalog.ready(accepted)
        self._catalog.failed({id_: str(error) for id_, error in refused.items()})
        self._step("ready")
        for image in pending:
            if image.entry.id in refused:
                failures[image.entry.id] = _failure(image, refused[image.entry.id])
        return Written(frozenset(new), failures)

    def _put(self, read: Sequence[Read]) -> None:
        store = self._originals
        if store is None:
            return
        contents = {image.entry.content: image for image in read if image.entry.stored}
        with ThreadPoolExecutor(_PUTS, "imgsearch-originals") as pool:
            list(
                pool.map(
                    lambda image: store.put(
                        image.entry.content, image.data, media_type(image.entry)
                    ),
                    contents.values(),
                )
            )

    def _begin(self, read: Sequence[Read], failures: dict[str, FailedFile]) -> list[Read]:
        """Create pending rows and return their images; add the others to `failures`."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._catalog.begin([image.entry for image in read])
            except ImageBusy as error:
                if time.monotonic() >= deadline:
                    return self._one_by_one(read, failures, error)
                time.sleep(0.05)
                self._put(read)
            except (ConfigError, ImageExists) as error:  # such as a label that is too long
                return self._one_by_one(read, failures, error)
            else:
                return list(read)

    def _one_by_one(
        self, read: Sequence[Read], failures: dict[str, FailedFile], error: ImgSearchError
    ) -> list[Read]:
        if len(read) == 1:
            failures[read[0].entry.id] = _failure(read[0], error)
            return []
        return [begun for image in read for begun in self._begin([image], failures)]

    def _insert(
        self, pending: Sequence[Read], vectors: Mapping[str, Vector]
    ) -> dict[str, ImgSearchError]:
        """Write the missing vectors; return the errors of refused rows by id.

        Vectors are looked up again, because others may have written or deleted some meanwhile.
        """
        entries = {image.entry.content: image.entry for image in reversed(pending)}
        missing = entries.keys() - known_vectors(self._library, list(entries))
        complete = dict(vectors)
        if lost := missing - complete.keys():
            again = [image for image in pending if image.entry.content in lost]
            complete |= vectors_of_images(self._library, again)[0]
        lacking = [entry for entry in entries.values() if entry.content in missing]
        first = first_rows(self._catalog, self._library.name, lacking)
        refused = self._records([(entry, complete.get(entry.content)) for entry in first])
        return {
            image.entry.id: refused[image.entry.content]
            for image in pending
            if image.entry.content in refused
        }

    def _records(self, rows: Sequence[tuple[Entry, Vector | None]]) -> dict[str, ImgSearchError]:
        """Write records; return the errors of refused contents."""
        records = [record(entry, vector) for entry, vector in rows if vector is not None]
        try:
            self._library.insert(records)
        except (FieldInvalid, VectorInvalid) as error:
            if len(rows) == 1:
                return {rows[0][0].content: error}
            parts = [self._records([row]) for row in rows]
            return {content: fault for part in parts for content, fault in part.items()}
        return {}


def _failure(read: Read, error: ImgSearchError) -> FailedFile:
    return FailedFile.of(sources.printable(read.entry.name), error)
