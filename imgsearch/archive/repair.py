"""Repairs an archive: finishes additions and deletions that a crash interrupted."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from imgsearch import images
from imgsearch.archive.clips import declare_moments
from imgsearch.archive.deletion import Deleter
from imgsearch.archive.originals import Originals
from imgsearch.archive.outcomes import Repaired
from imgsearch.archive.records import first_rows, known_contents, records_of
from imgsearch.archive.upload import by_content
from imgsearch.backends import Collection
from imgsearch.catalog import Catalog, Entry, entry_id
from imgsearch.catalog.entry import check_entry, possible_content
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    ImageCorrupt,
    ImageError,
    ImgSearchError,
    ObjectNotFound,
    SchemaMismatch,
    SourceError,
)
from imgsearch.images import sources
from imgsearch.library.library import Library
from imgsearch.text import counted
from imgsearch.types import Record

_BATCH: Final = 500
_NAMED: Final = 5  # record ids listed in a note; all records are counted
_REGION: Final = re.compile(r"[0-9a-f]{64}#\d+")


class Repair:
    """Finishes interrupted additions and deletions. Idempotent."""

    def __init__(
        self,
        library: Callable[[str], Library],
        catalog: Catalog,
        originals: Originals,
        deleter: Deleter,
    ) -> None:
        self._library, self._catalog, self._originals = library, catalog, originals
        self._deleter = deleter

    def run(
        self,
        collections: Sequence[str],
        *,
        foreign: Sequence[str] = (),
        older_than: float = 0.0,
    ) -> Repaired:
        """Repair all rows and originals, and the vectors in `collections`.

        Rows and originals that changed in the last `older_than` seconds are skipped, because
        another program may be writing them. Records that imgsearch did not write, and `foreign`
        collections, which other programs created, are not changed. The result counts and names
        them.

        Raises:
            BackendError, CatalogError, ObjectStoreError, EncoderError: a store or the encoder
                failed.
        """
        repaired = Repaired()
        for entries in self._catalog.unfinished(older_than=older_than):
            deleting = [entry.id for entry in entries if entry.state == "deleting"]
            repaired = repaired.plus(deleted=self._deleter.run(deleting))
            for entry in entries:
                if entry.state == "pending":
                    repaired = repaired.plus(**{self._finish(entry): 1})
        repaired = repaired.plus(orphans=self._originals.delete_orphans(older_than))
        notes = [
            f"collection {name!r} is skipped: another program created it, or it records no encoder"
            for name in foreign
        ]
        repaired = repaired.plus(left=len(notes))
        for name in collections:
            adopted, others = self._adopt(name)
            repaired = repaired.plus(adopted=adopted, left=len(others))
            notes += others.notes(name)
        return replace(repaired, notes=tuple(notes))

    def _finish(self, entry: Entry) -> str:
        """Finish a pending image. Returns "completed" or "failed"."""
        try:
            self._write_vector(entry)
        # other errors may be temporary, so they keep the row pending
        except (SourceError, ImageError, ObjectNotFound, SchemaMismatch) as error:
            self._catalog.failed({entry.id: f"{type(error).__name__}: {error}"})
            return "failed"
        self._catalog.ready([entry.id])
        return "completed"

    def _write_vector(self, entry: Entry) -> None:
        """Embed an image and write its record, unless its content has a record."""
        library = self._library(entry.collection)
        if known_contents(library, [entry.content]):
            return
        data = self._originals.read(entry)
        images.header(data, path=entry.name, max_pixels=library.max_pixels)
        if entry.original:
            declare_moments(library)
        version = library.version
        rows, failures = by_content(library.embed_rows([(entry.name, data)]))
        if entry.content not in rows:
            reasons = (failure.reason for failure in failures.values())
            raise ImageCorrupt(next(reasons, "the original has other content now"))
        (first,) = first_rows(self._catalog, entry.collection, [entry])
        library.insert(records_of(first, rows[entry.content]), version=version)

    def _adopt(self, name: str) -> tuple[int, "_ForeignRecords"]:
        """Create rows for vectors that the library had before it became part of an archive.

        Returns the number of new rows, and the records that imgsearch did not write.
        """
        collection = _existing_collection(self._library(name))
        adopted, others = 0, _ForeignRecords()
        for records in _batches(collection):
            known = self._catalog.of_contents(
                name, [stored.id for stored in records], states=("ready", "pending", "deleting")
            )
            new = []
            for stored in records:
                if stored.id not in known:
                    try:
                        new.append(self._entry(name, stored))
                    except ConfigError as error:
                        others.add(stored.id, str(error))
            if new:
                self._catalog.begin(new)
                self._catalog.ready([entry.id for entry in new])
                adopted += len(new)
        return adopted, others

    def _entry(self, name: str, stored: Record) -> Entry:
        """Convert a record to a row.

        Raises:
            ConfigError: imgsearch did not write the record, because its values are invalid.
        """
        place, label = stored.fields.get("path"), stored.fields.get("label", "")
        if not possible_content(stored.id):
            raise ConfigError("the id is not a sha256")
        if not (isinstance(place, str) and place):
            raise ConfigError("the path is missing, or not a text")
        if not isinstance(label, str):
            raise ConfigError("the label is not a text")
        size, kind, width, height = 0, "", 0, 0
        try:
            data = sources.read(place)
            limit = self._library(name).max_pixels
            kind, width, height = images.header(data, path=place, max_pixels=limit)
            size = len(data)
        except ImgSearchError:
            pass  # the file was moved or changed, but its vector can be searched
        entry = Entry(
            id=entry_id(name, stored.id, "library", place),
            collection=name,
            content=stored.id,
            source="library",
            name=place.rpartition("/")[2] or stored.id,
            place=place,
            size=size,
            width=width,
            height=height,
            format=kind,
            label=sources.label_text(label),
            fields={},
            encoder=self._library(name).recipe.model,
            stored=False,
        )
        check_entry(entry)
        return entry


class _ForeignRecords:
    """Counts a collection's records that imgsearch did not write, with ids and reasons of some."""

    def __init__(self) -> None:
        self._count = 0
        self._named: list[str] = []

    def __len__(self) -> int:
        return self._count

    def add(self, id_: str, reason: str) -> None:
        """Count a record of another program; `reason` says how imgsearch can tell."""
        self._count += 1
        if len(self._named) < _NAMED:
            self._named.append(f"{sources.printable(id_)[:80]!r} ({reason})")

    def notes(self, collection: str) -> list[str]:
        """Return a list with one sentence about the records. Empty without records."""
        if not self._count:
            return []
        more = self._count - len(self._named)
        return [
            f"{counted(self._count, 'record')} of collection {collection!r} skipped, "
            f"not written by imgsearch: {', '.join(self._named)}"
            f"{f' and {more} more' if more else ''}"
        ]


def _existing_collection(library: Library) -> Collection | None:
    try:
        return library.collection
    except CollectionNotFound:
        return None


def _batches(collection: Collection | None) -> Iterator[list[Record]]:
    if collection is None:
        return
    records = (
        stored for stored in collection.iterate(vectors=False) if not _REGION.fullmatch(stored.id)
    )
    while batch := list(islice(records, _BATCH)):
        yield batch
