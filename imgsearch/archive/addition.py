"""Adds images to an archive: reads, embeds and writes them.

Images are embedded before anything is written, so images that cannot be decoded leave no traces.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

import pyarrow as pa
from typing_extensions import override

from imgsearch.archive.analysis import Analysis, tagged
from imgsearch.archive.libraries import WORTH_AN_INDEX
from imgsearch.archive.outcomes import Added
from imgsearch.archive.priority import Traffic
from imgsearch.archive.records import known_contents, relabel
from imgsearch.archive.upload import Incoming, Upload, by_content, own_values, row_key
from imgsearch.archive.writer import Writer
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import ConfigError, ImageBusy, ImageExists, ImageNotFound
from imgsearch.filters import composed
from imgsearch.images import sources
from imgsearch.images.read_ahead import Early, Read
from imgsearch.library.ingest import Ingest, Sink, Written
from imgsearch.library.library import Library
from imgsearch.library.progress import Tally
from imgsearch.types import Failure, Value

_LARGEST: Final = 64  # images embedded at once, so that a search waits a second at most
_WHILE_BUSY: Final = 16  # images embedded at once while searches need the processor


@dataclass(frozen=True, slots=True)
class _Rows(Written):
    """The outcome of a part: its images as they were written, and the ids of new rows."""

    uploads: Sequence[Upload] = ()
    new: frozenset[str] = frozenset()


class Addition(Sink[Incoming, Upload]):
    """Adds images to one collection of an archive.

    Of items with the same catalog row only the first is added; the rest share its outcome. If
    `stored` is True, originals are saved. If `traffic` is set, the addition slows down during
    searches, and then indexes whenever at least `soon` images are not indexed. If `index` is True,
    all added images are indexed at the end, even if they are few.
    """

    def __init__(
        self,
        library: Library,
        catalog: Catalog,
        writer: Writer,
        tally: Tally,
        *,
        stored: bool,
        index: bool,
        canceled: Callable[[], bool],
        traffic: Traffic | None = None,
        soon: float = inf,
        analysis: Analysis = Analysis(),  # noqa: B008 - frozen
    ) -> None:
        self.tally = tally
        self._ocr, self._tagger = analysis.ocr, analysis.tagger(library)
        self._library, self._catalog, self._writer = library, catalog, writer
        self._stored, self._worth_an_index = stored, 1 if index else WORTH_AN_INDEX
        self._canceled, self._traffic, self._soon = canceled, traffic, soon
        self._own_labels = library.sets_labels
        self._entries: dict[str, Entry] = {}

    def run(self, items: Iterable[Incoming]) -> Added:
        """Add `items`. Failed items are listed in the result.

        Raises:
            EncoderError: the encoder cannot be built, or is not the collection's encoder.
            BackendError, CatalogError, ObjectStoreError: a store failed. Images that were being
                written stay pending until `repair` finishes them.
        """
        with self._library.quarantine(ocr=self._ocr) as quarantine:
            Ingest(
                self,
                quarantine,
                largest=_LARGEST,
                largest_while_busy=_WHILE_BUSY,
                pace=self if self._traffic else None,
                canceled=self._canceled,
            ).run(items)
        report = self.tally.report(complete=not self._canceled())
        return Added(tuple(self._entries.values()), report)

    @property
    def busy(self) -> bool:
        """Whether searches need the processor now."""
        return self._traffic is not None and self._traffic.busy

    def rest(self, worked: float) -> None:
        """Index waiting images, and pause for searches after `worked` seconds of work."""
        self._index(self._soon)
        if self._traffic is not None:
            self._traffic.give_way(worked, self._canceled)

    @override
    def early(self, item: Incoming) -> Early | None:
        return item.early()

    @override
    def read(self, item: Incoming, file: Read | None = None) -> Upload:
        return Upload.read(item, (file or item.read)(), self._library, stored=self._stored)

    @override
    def path(self, item: Incoming) -> str:
        return sources.printable(item.place or item.name)

    @override
    def known_path(self, key: str) -> str:
        entries = self._entries.values()
        return next((entry.place or entry.name for entry in entries if row_key(entry) == key), "?")

    @override
    def new(
        self, files: Sequence[Upload]
    ) -> tuple[Sequence[Upload], Sequence[tuple[Upload, Failure | None]]]:
        """Return images whose row is not ready. Count all other images, and write their labels."""
        known = self._catalog.find([upload.entry.id for upload in files])
        new: list[Upload] = []
        others: list[tuple[Upload, Failure | None]] = []
        for upload in files:
            entry = known.get(upload.entry.id)
            if entry is not None and not _same(entry, upload.entry):
                error = ImageExists(f"the id {entry.id!r} belongs to another image")
                others.append((upload, Failure.of(upload.entry.name, error)))
            elif entry is None or entry.state != "ready":
                new.append(upload)
            else:
                self._entries[entry.id] = entry
                self._count_known(upload, entry)
                others.append((upload, None))
        return new, others

    @override
    def relabel(self, files: Sequence[Upload]) -> None:
        if self._own_labels:  # a user's steps set the label of the first one
            self.tally.count("skipped", len(files))
            return
        for file in files:
            self._relabel(file.entry.id, file.label or "")

    @override
    def to_embed(self, files: Sequence[Upload]) -> Sequence[Upload]:
        contents = {upload.entry.content: upload for upload in reversed(files)}
        if self._library.runs_own_steps or self._ocr:  # they set the values of each new row
            return list(contents.values())
        known = known_contents(self._library, list(contents))
        return [upload for content, upload in contents.items() if content not in known]

    @override
    def write(self, files: Sequence[Upload], rows: pa.RecordBatch) -> Written:
        embedded, faults = by_content(rows)
        absent = {upload.entry.content for upload in files} - embedded.keys() - faults.keys()
        left_out = absent - known_contents(self._library, list(absent))
        own = own_values(rows)
        usable = [
            _with_own_values(upload, own.get(upload.entry.content))
            for upload in files
            if upload.entry.content not in faults.keys() | left_out
        ]
        usable = tagged(usable, embedded, self._tagger)
        written = self._writer.write(usable, embedded)
        failures = {
            upload.id: replace(faults[upload.entry.content], path=upload.path)
            for upload in files
            if upload.entry.content in faults
        } | {
            upload.id: written.failures[upload.entry.id]
            for upload in usable
            if upload.entry.id in written.failures
        }
        dropped = frozenset(upload.id for upload in files if upload.entry.content in left_out)
        # their bytes are not held until they are counted
        uploads = [replace(upload, data=b"") for upload in usable]
        return _Rows(failures, dropped, uploads, written.new)

    @override
    def count(self, files: Sequence[Upload], written: Written) -> None:
        assert isinstance(written, _Rows)  # noqa: S101 - as `write` returned it
        uploads = [upload for upload in written.uploads if upload.id not in written.failures]
        self._entries |= self._catalog.find([upload.entry.id for upload in uploads])
        for upload in uploads:
            self._correct_label(upload)
        # a row that another writer finished is counted as skipped here, because it is new there
        self.tally.count("added", len(written.new))
        self.tally.count("skipped", len(uploads) - len(written.new))

    @override
    def finish(self) -> None:
        self._index(self._worth_an_index)

    def _index(self, least: float) -> None:
        """Build the index if at least `least` added images are not indexed."""
        waiting = self.tally.now.added - self.tally.now.indexed
        if waiting >= least:
            self._library.collection.flush()
            self.tally.count("indexed", waiting)
            self.tally.report_progress()

    def _count_known(self, upload: Upload, entry: Entry) -> None:
        """Count an image that is already in the archive, and write its new label and fields.

        An image from a folder keeps a different label, because its folder's name has not changed
        since it was added, so a user must have changed the label.
        """
        stated, old = None if self._own_labels else upload.label, entry.label
        changed_by_user = entry.source == "folder" and composed(old) != stated
        keeps = stated == old or changed_by_user
        label = None if keeps else stated
        fields = {**upload.facts, **entry.fields, **upload.fields}
        if label is None and fields == entry.fields:
            self.tally.count("skipped")
        else:
            self._relabel(entry.id, label, None if fields == entry.fields else fields)

    def _relabel(
        self, id_: str, label: str | None, fields: Mapping[str, Value] | None = None
    ) -> None:
        """Write a row's label and fields, and count the image as updated or failed."""
        try:
            self._entries[id_] = relabel(self._library, self._catalog, id_, label, fields)
        except (ConfigError, ImageBusy, ImageNotFound) as error:
            known = self._entries.get(id_)
            name = id_ if known is None else known.place or known.name
            self.tally.failed(Failure.of(name, error))
        else:
            self.tally.count("updated")

    def _correct_label(self, upload: Upload) -> None:
        """Write the new label of a row that an earlier addition left pending with another label."""
        entry = self._entries.get(upload.entry.id)
        if entry is not None and upload.label not in (None, entry.label):
            with suppress(ImageBusy, ImageNotFound):
                relabel(self._library, self._catalog, entry.id, upload.label or "")


def _with_own_values(upload: Upload, own: Mapping[str, Any] | None) -> Upload:
    """Return the image with the label and fields that a user's steps set.

    Fields that were given with the image win.
    """
    if own is None:
        return upload
    label = upload.label if own["label"] is None else sources.label_text(own["label"])
    fields = {**own["fields"], **upload.entry.fields}
    entry = replace(upload.entry, label=label or "", fields=fields)
    return replace(upload, label=label, entry=entry)


def _same(one: Entry, other: Entry) -> bool:
    return (one.content, one.collection) == (other.content, other.collection)
