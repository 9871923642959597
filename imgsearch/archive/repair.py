"""What was half done is finished: after a crash, when a service starts, when somebody asks."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from imgsearch import images, sources
from imgsearch.archive.deleting import Deleting
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
from imgsearch.library import Library
from imgsearch.loader import vectors_of
from imgsearch.objects import ObjectStore
from imgsearch.types import Record

_BATCH: Final = 500
_NAMED: Final = 5  # records that a report names
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
        strangers: Sequence[str] = (),
        older_than: float = 0.0,
    ) -> Repaired:
        """Repair all; what changed within `older_than` seconds may be underway, and is left alone.

        So are records that imgsearch did not write, and `strangers`, the collections that other
        programs created; the outcome counts and names them.

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
            for name in strangers
        ]
        done = done.plus(left=len(left))
        for name in collections:
            adopted, odd = self._adopted(name)
            done = done.plus(adopted=adopted, left=len(odd))
            left += odd.note(name)
        return replace(done, notes=tuple(left))

    def _finished(self, entry: Entry) -> str:
        """Finish a pending image; return "completed" or "failed"."""
        try:
            self._vector(entry)
        except (
            SourceError,
            ImageError,
            ObjectNotFound,
            SchemaMismatch,
        ) as error:  # others may pass
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

    def _adopted(self, name: str) -> tuple[int, "_Odd"]:
        """Give a row to vectors that have none: of a library that was there before its archive.

        Returns how many, and the records that get none since imgsearch did not write them.
        """
        collection = _there(self._library(name))
        adopted, odd = 0, _Odd()
        for records in _batches(collection):
            known = self._catalog.of_contents(
                name, [each.id for each in records], states=("ready", "pending", "deleting")
            )
            fresh = []
            for each in records:
                if each.id not in known:
                    try:
                        fresh.append(self._entry(name, each))
                    except ConfigError as error:
                        odd.add(each.id, str(error))
            if fresh:
                self._catalog.begin(fresh)
                self._catalog.ready([entry.id for entry in fresh])
                adopted += len(fresh)
        return adopted, odd

    def _entry(self, name: str, known: Record) -> Entry:
        """Return the row for a record.

        Raises:
            ConfigError: imgsearch did not write the record: the row cannot hold it.
        """
        place, label = known.fields.get("path"), known.fields.get("label", "")
        if not possible_content(known.id):
            raise ConfigError("the id is no sha256")
        if not (isinstance(place, str) and place):
            raise ConfigError("the path is missing, or no text")
        if not isinstance(label, str):
            raise ConfigError("the label is no text")
        size, (kind, width, height) = 0, ("", 0, 0)
        try:
            data = sources.read(place)
            size, (kind, width, height) = (
                len(data),
                images.header(data, path=place, max_pixels=self._library(name).max_pixels),
            )
        except ImgSearchError:
            size = 0  # it was moved; its vector is still searched
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


class _Odd:
    """Records of a collection that imgsearch did not write: some ids and reasons, and a count."""

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

    def note(self, collection: str) -> list[str]:
        """Return a line about them, none where there are none."""
        if not self._count:
            return []
        more = self._count - len(self._named)
        return [
            f"{self._count} record{'s' * (self._count != 1)} of collection {collection!r} left "
            f"alone, not written by imgsearch: {', '.join(self._named)}"
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
    records = (each for each in collection.iterate(vectors=False) if not _REGION.fullmatch(each.id))
    while batch := list(islice(records, _BATCH)):
        yield batch
