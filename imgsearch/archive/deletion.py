"""How images leave an archive: catalogue (deleting) → vector → original → row gone.

Whether a reference is its content's last one is decided in one transaction with marking it, and
nobody can begin to add that content until the row is gone. A crash leaves a row that is being
deleted, and `repair` goes on from there; each step may be done twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from imgsearch.catalog import Catalog, Deletion
from imgsearch.errors import CollectionNotFound, SchemaMismatch
from imgsearch.library.library import Library
from imgsearch.objects import ObjectStore

_BATCH: Final = 500


class Deleting:
    """Deletes rows by id, and what nothing else needs. `step` is called after each step."""

    def __init__(
        self,
        library: Callable[[str], Library],
        catalog: Catalog,
        originals: ObjectStore | None,
        *,
        step: Callable[[str], None],
    ) -> None:
        self._library, self._catalog, self._originals = library, catalog, originals
        self._step = step

    def run(self, ids: Sequence[str]) -> int:
        """Delete; return how many rows there were. Files that were left in place stay.

        Raises:
            BackendError, CatalogError, ObjectStoreError: a store failed; `repair` goes on.
        """
        gone = 0
        for start in range(0, len(ids), _BATCH):
            deletions = self._catalog.mark_deleting(ids[start : start + _BATCH])
            self._step("deleting")
            self._finish(deletions)
            gone += len(deletions)
        return gone

    def run_all(self, collection: str) -> int:
        """Delete all rows of a collection; return how many.

        Raises: as for `run`.
        """
        count = 0
        while page := self._catalog.page(collection, limit=_BATCH).entries:
            count += self.run([entry.id for entry in page])
        return count

    def _finish(self, deletions: Sequence[Deletion]) -> None:
        if not deletions:
            return
        for name in sorted({each.entry.collection for each in deletions}):
            own = [each for each in deletions if each.entry.collection == name]
            self._vectors(name, own)
        self._step("vector gone")
        if self._originals is not None:
            for each in deletions:
                if each.last_anywhere:
                    self._originals.delete(each.entry.content)
        self._step("original gone")
        self._catalog.forget([each.entry.id for each in deletions])
        self._step("forgotten")

    def _vectors(self, name: str, deletions: Sequence[Deletion]) -> None:
        try:
            collection = self._library(name).collection
        except (CollectionNotFound, SchemaMismatch):  # another program dropped or replaced it
            return
        last = {each.entry.content for each in deletions if each.last_in_collection}
        collection.delete(sorted(last))
        shared = sorted({each.entry.content for each in deletions} - last)
        if not shared:
            return
        rest = self._catalog.of_contents(name, shared)
        stored = collection.get(shared, vectors=True)
        collection.upsert(  # the first of the references that stay speaks for the vector now
            replace(
                stored[content],
                fields={
                    **stored[content].fields,
                    "path": rest[content][0].place or rest[content][0].name,
                    "label": rest[content][0].label,
                },
            )
            for content in shared
            if content in stored and rest.get(content)
        )
