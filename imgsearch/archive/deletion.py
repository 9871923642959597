"""Deletes images from an archive in a crash-safe order.

The order is: catalog (deleting) → vector → original → row. One transaction marks a row and checks
whether it is the last row with its content. Additions of that content are rejected until the row is
deleted. After a crash the row is still marked, and `repair` continues, because each step is
idempotent.
"""

from collections.abc import Callable, Sequence
from typing import Final

from imgsearch.archive.originals import Originals
from imgsearch.archive.records import record_ids, with_first
from imgsearch.catalog import Catalog, Deletion
from imgsearch.errors import CollectionNotFound, SchemaMismatch
from imgsearch.library.library import Library

_BATCH: Final = 500


class Deleter:
    """Deletes rows by id, and vectors and originals that no other row needs.

    `on_step` is called with the step's name after each step.
    """

    def __init__(
        self,
        library: Callable[[str], Library],
        catalog: Catalog,
        originals: Originals,
        *,
        on_step: Callable[[str], None],
    ) -> None:
        self._library, self._catalog, self._originals = library, catalog, originals
        self._on_step = on_step

    def run(self, ids: Sequence[str]) -> int:
        """Delete rows and return how many existed. Files that stayed in their folders are kept.

        Raises:
            BackendError, CatalogError, ObjectStoreError: a store failed. Call `repair` to continue.
        """
        count = 0
        for start in range(0, len(ids), _BATCH):
            deletions = self._catalog.mark_deleting(ids[start : start + _BATCH])
            self._on_step("deleting")
            self._finish(deletions)
            count += len(deletions)
        return count

    def run_all(self, collection: str) -> int:
        """Delete all rows of a collection and return their number.

        Raises: as for `run`.
        """
        count = 0
        while page := self._catalog.page(collection, limit=_BATCH).entries:
            count += self.run([entry.id for entry in page])
        return count

    def _finish(self, deletions: Sequence[Deletion]) -> None:
        if not deletions:
            return
        for name in sorted({deletion.entry.collection for deletion in deletions}):
            own = [deletion for deletion in deletions if deletion.entry.collection == name]
            self._delete_vectors(name, own)
        self._on_step("vector gone")
        unneeded = {deletion.entry.file for deletion in deletions if deletion.last_anywhere}
        unneeded |= {  # thumbnails of frames
            deletion.entry.content
            for deletion in deletions
            if deletion.entry.original and deletion.last_of_content
        }
        self._originals.delete(sorted(unneeded))
        self._on_step("original gone")
        self._catalog.forget([deletion.entry.id for deletion in deletions])
        self._on_step("forgotten")

    def _delete_vectors(self, name: str, deletions: Sequence[Deletion]) -> None:
        """Delete vectors without a row. Other vectors get the path and label of their first row."""
        try:
            collection = self._library(name).collection
        except (CollectionNotFound, SchemaMismatch):  # another program dropped or replaced it
            return
        last = {deletion.entry.content for deletion in deletions if deletion.last_in_collection}
        collection.delete(record_ids(collection, sorted(last)))
        shared = sorted({deletion.entry.content for deletion in deletions} - last)
        if not shared:
            return
        rows = self._catalog.of_contents(name, shared)
        stored = collection.get(record_ids(collection, shared), vectors=True)
        collection.upsert(
            with_first(record, rows[content][0])
            for record in stored.values()
            if rows.get(content := record.id.partition("#")[0])
        )
