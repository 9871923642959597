"""Repair of an archive: finishes additions and deletions that a crash interrupted."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from imgsearch import images
from imgsearch.archive.deletion import Deleting
from imgsearch.archive.labels import first_rows
from imgsearch.archive.outcomes import Repaired
from imgsearch.archive.reading import record
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
from imgsearch.library.ingest import vectors_of
from imgsearch.library.library import Library
from imgsearch.objects import ObjectStore
from imgsearch.types import Record
from imgsearch.wording import counted

_BATCH: Final = 500
_NAMED: Final = 5  # records in a note; all are counted
_REGION: Final = re.compile(r"[0-9a-f]{64}#\d+")


class Repair:
    """Brings originals, catalogue and vectors in step again; running it twice changes nothing."""

    def __init__(
        self,
        library: Callable[[str], Library],
        catalog: Catalog,
        originals: ObjectStore | None,
        deleting: Deleting,
    ) -> None:
        self._library, self._catalog, self._originals = library, catalog, originals
        self._deleting = deleting

    def run(
        self,
        collections: Sequence[str],
        *,
        foreign: Sequence[str] = (),
        older_than: float = 0.0,
    ) -> Repaired:
        """Repair `collections`, and all rows and originals.

        Rows and originals that changed within `older_than` seconds are left alone, because another
        program may be writing them. Records that imgsearch did not write are left alone, too, as
        are `foreign` collections, which other programs created. The outcome counts and names them.

        Raises:
            BackendError, CatalogError, ObjectStoreError, EncoderError: a part cannot be reached.
        """
        done = Repaired()
        for entries in self._catalog.unfinished(older_than=older_than):
            going = [entry.id for entry in entries if entry.state == "deleting"]
            done = done.plus(deleted=self._deleting.run(going))
            for entry in entries:
                if entry.state == "pending":
                    done = done.plus(**{self._finished(entry): 1})
        done = done.plus(orphans=self._orphans(older_than))
        left = [
            f"collection {name!r} is left alone: another program created it, or it notes no encoder"
            for name in foreign
        ]
        done = done.plus(left=len(left))
        for name in collections:
            adopted, others = self._adopt(name)
            done = done.plus(adopted=adopted, left=len(others))
            left += others.notes(name)
        return replace(done, notes=tuple(left))

    def _finished(self, entry: Entry) -> str:
        """Finish a pending image; return "completed" or "failed"."""
        try:
            self._vector(entry)
        # other errors may not occur again, so they leave the row pending
        except (SourceError, ImageError, ObjectNotFound, SchemaMismatch) as error:
            self._catalog.failed({entry.id: f"{type(error).__name__}: {error}"})
            return "failed"
        self._catalog.ready([entry.id])
        return "completed"

    def _vector(self, entry: Entry) -> None:
        library = self._library(entry.collection)
        collection = _there(library)
        if collection is not None and collection.get([entry.content]):
            return
        if entry.stored and self._originals is not None:
            data = self._originals.get(entry.content)
        else:
            data = sources.read(entry.place)
        images.header(data, path=entry.name, max_pixels=library.max_pixels)
        made = library.embed([(entry.name, data)])
        row = made.drop_columns("vector").to_pylist()[0]
        if row["status"] != "ok" or row["sha256"] != entry.content:
            raise ImageCorrupt(row["error"] or "the file is another one now")
        (first,) = first_rows(self._catalog, entry.collection, [entry])
        library.insert([record(first, vectors_of(made)[0])])

    def _orphans(self, older_than: float) -> int:
        """Take away originals that no row names."""
        if self._originals is None:
            return 0
        old = (content for content, age in self._originals.contents() if age >= older_than)
        orphans = 0
        while contents := list(islice(old, _BATCH)):
            for content in set(contents) - self._catalog.referenced(contents):
                self._originals.delete(content)
                orphans += 1
        return orphans

    def _adopt(self, name: str) -> tuple[int, "_ForeignRecords"]:
        """Create rows for the vectors of a library that was made before its archive.

        Returns how many, and the records that imgsearch did not write, which get none.
        """
        collection = _there(self._library(name))
        adopted, others = 0, _ForeignRecords()
        for records in _batches(collection):
            known = self._catalog.of_contents(
                name, [stored.id for stored in records], states=("ready", "pending", "deleting")
            )
            fresh = []
            for stored in records:
                if stored.id not in known:
                    try:
                        fresh.append(self._entry(name, stored))
                    except ConfigError as error:
                        others.add(stored.id, str(error))
            if fresh:
                self._catalog.begin(fresh)
                self._catalog.ready([entry.id for entry in fresh])
                adopted += len(fresh)
        return adopted, others

    def _entry(self, name: str, known: Record) -> Entry:
        """Return the row for a record.

        Raises:
            ConfigError: imgsearch did not write the record, as no row can hold it.
        """
        place, label = known.fields.get("path"), known.fields.get("label", "")
        if not possible_content(known.id):
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
            pass  # the file was moved or changed; the vector is still searched
        entry = Entry(
            id=entry_id(name, known.id, "library", place),
            collection=name,
            content=known.id,
            source="library",
            name=place.rpartition("/")[2] or known.id,
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
    """Records of a collection that imgsearch did not write: a count, some ids and reasons."""

    def __init__(self) -> None:
        self._count = 0
        self._named: list[str] = []

    def __len__(self) -> int:
        return self._count

    def add(self, id_: str, reason: str) -> None:
        """Count a record."""
        self._count += 1
        if len(self._named) < _NAMED:
            self._named.append(f"{sources.printable(id_)[:80]!r} ({reason})")

    def notes(self, collection: str) -> list[str]:
        """Return a sentence about the records, or an empty list if there are none."""
        if not self._count:
            return []
        more = self._count - len(self._named)
        return [
            f"{counted(self._count, 'record')} of collection {collection!r} left alone, "
            f"not written by imgsearch: {', '.join(self._named)}"
            f"{f' and {more} more' if more else ''}"
        ]


def _there(library: Library) -> Collection | None:
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
