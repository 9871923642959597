"""Writes the images of a load to a collection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from os import path
from typing import TYPE_CHECKING

import pyarrow as pa
from typing_extensions import override

from imgsearch.backends.regions import has_regions
from imgsearch.errors import (
    ImgSearchError,
    SchemaMismatch,
    SourceError,
)
from imgsearch.fields import typed, undeclared_note
from imgsearch.images import MAX_PIXELS, sources
from imgsearch.images.moments import FIELDS as VIDEO_FIELDS
from imgsearch.images.moments import file_of
from imgsearch.images.read_ahead import Early, Read
from imgsearch.images.references import Reference
from imgsearch.images.sources import Fetch
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.embedded_rows import embedded_records, upsert
from imgsearch.library.file_facts import FileFacts
from imgsearch.library.ingest import Sink, Written
from imgsearch.library.progress import Candidate, Tally, stored_path
from imgsearch.library.tracked_files import TrackedFiles, image_rows, read_file
from imgsearch.types import Failure, Record, Value

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline


@dataclass(frozen=True, slots=True)
class _Stored(Written):
    """The outcome of a part, with the label of each image that was written, by id."""

    labels: Mapping[str, str] = field(default_factory=dict)


class CollectionSink(Sink[Reference, Candidate]):
    """Writes files to a collection, which is created when the first images are embedded.

    `collection` is None until then. With `own_labels` a user's steps set the labels of new images,
    so the labels of stored images are kept. Images in memory have at most `max_pixels` pixels.
    `fetch` downloads images by URL. `texts` reads the text in stored images; see `FileFacts`.

    Raises:
        SchemaMismatch: `regions` is True, and the collection was created without regions.
    """

    def __init__(
        self,
        handle: CollectionHandle,
        tally: Tally,
        *,
        regions: bool = False,
        own_labels: bool = False,
        max_pixels: int = MAX_PIXELS,
        fetch: Fetch | None = None,
        files: TrackedFiles | None = None,
        texts: "Pipeline | None" = None,
    ) -> None:
        self._handle, self.tally, self._regions = handle, tally, regions
        self._own_labels, self._max_pixels, self._fetch = own_labels, max_pixels, fetch
        self._noted: set[str] = set()
        self._unchanged = "", ""  # the path and content of a file that is not read
        self._version = handle.version
        self.collection = handle.known
        self._files = files or TrackedFiles.of(handle, files=tally.now.found)
        self._facts = FileFacts(handle, self._files.index, texts=texts, max_pixels=max_pixels)
        if regions and self.collection is not None and not has_regions(self.collection):
            raise SchemaMismatch(
                f"cannot add regions to collection {handle.name!r}: it was created without them. "
                "Add the images to another collection."
            )

    @override
    def early(self, item: Reference) -> Early | None:
        """Return how a file is read. An unchanged one is read only if it lacks a fact."""
        if item.content is not None:
            return None
        path = stored_path(item)
        early = Early.of(path, partial(read_file, path, self._reader(item)))
        if early is None:
            return None
        content = self._known_content(path)
        if content is None:
            self._unchanged = "", ""
            return early
        self._unchanged = path, content
        return None

    @override
    def read(self, item: Reference, file: Read | None = None) -> Candidate:
        fields = typed(item.fields, self._handle.fields) if item.fields else {}
        self._note_undeclared(fields)
        path = stored_path(item)
        if item.content is not None:  # an image in memory
            data = self._reader(item)()
            content = sources.content_id(data)
        else:
            data, content = self._file(item, path, file)
        return Candidate(path, item.label, content, data, fields=fields, place=item.place)

    def _file(self, item: Reference, path: str, file: Read | None) -> tuple[bytes, str]:
        """Return the bytes of a file, b"" if it need not be read, and its content id."""
        if file is None:
            content = self._known_content(path)
            if content is not None:
                return b"", content
            data, state = read_file(path, self._reader(item))
        else:
            data, state = file()
        self._files.note(path, state)
        return data, state.content

    def _known_content(self, path: str) -> str | None:
        """Return the content id of a file that need not be read, otherwise None."""
        if path == self._unchanged[0]:
            return self._unchanged[1]
        content = self._files.unchanged(path)
        if content is None or self._facts.lacks(content):
            return None
        return content

    def _reader(self, item: Reference) -> Callable[[], bytes]:
        return partial(sources.read, item, max_pixels=self._max_pixels, fetch=self._fetch)

    @override
    def path(self, item: Reference) -> str:
        return item.title

    @override
    def known_path(self, key: str) -> str:
        known = self.collection.get([key]) if self.collection is not None else {}
        return str(known[key].fields.get("path", "")) if key in known else ""

    @override
    def new(
        self, files: Sequence[Candidate]
    ) -> tuple[Sequence[Candidate], Sequence[tuple[Candidate, Failure | None]]]:
        if self.collection is None or not files:
            return files, []
        settled = {
            file.id
            for file in files
            if not (file.data or file.fields)
            and self._files.is_settled(file.path, file.id, file.label)
        }
        self.tally.count("skipped", len(settled))
        known = self.collection.get([file.id for file in files if file.id not in settled])
        self._update([file for file in files if file.id in known], known)
        stored = settled | known.keys()
        self._files.stored(stored)
        self._files.commit(self.collection)
        others: list[tuple[Candidate, Failure | None]] = []
        new: list[Candidate] = []
        for file in files:
            if file.id in stored:
                others.append((file, None))
                continue
            try:
                new.append(_with_data(file))
            except SourceError as error:
                others.append((file, Failure.of(file.path, error)))
        return new, others

    @override
    def relabel(self, files: Sequence[Candidate]) -> None:
        self._update(files)

    @override
    def to_embed(self, files: Sequence[Candidate]) -> Sequence[Candidate]:
        if files:
            self._files.index.begin()
        return files

    @override
    def write(self, files: Sequence[Candidate], rows: pa.RecordBatch) -> Written:
        self._handle.require_version(self._version)
        if self.collection is None:
            self.collection = self._handle.open_or_create(with_regions=self._regions)
        failures, records = embedded_records(
            rows,
            {
                file.id: replace(file, fields={**self._facts.of_new(file), **file.fields})
                for file in files
            },
        )
        present = set(rows.column("sha256").to_pylist())
        left_out = frozenset(file.id for file in files if file.id not in present)
        failures |= upsert(self.collection, records)
        stored = {row.id: str(row.fields["label"]) for row in records if "#" not in row.id}
        return _Stored(failures, left_out, stored)

    @override
    def count(self, files: Sequence[Candidate], written: Written) -> None:
        assert isinstance(written, _Stored)  # noqa: S101 - as `write` returned it
        assert self.collection is not None  # noqa: S101 - `write` opened it
        without = written.left_out | written.failures.keys()
        added = [file for file in files if file.id not in without]
        self.tally.count("added", len(added))
        index = self._files.index
        if not index.attached:
            index.attach(self.collection)
        for file in added:
            index.label(file.id, written.labels.get(file.id, ""), file.path)
            self._facts.note(file.id, file.path)
        self._files.stored(file.id for file in added)
        self._files.commit(self.collection)

    @override
    def finish(self) -> None:
        self._facts.report(self.tally)
        if self.collection is not None:
            self._files.commit(self.collection)
            self.collection.flush()
            self._files.index.finish(self.collection)

    def _note_undeclared(self, fields: Mapping[str, Value]) -> None:
        for name in fields.keys() - self._noted - self._handle.fields.keys():
            self._noted.add(name)
            self.tally.note(undeclared_note(name, fields[name], "open"))

    def _update(
        self, files: Sequence[Candidate], known: Mapping[str, Record] | None = None
    ) -> None:
        """Write changed labels and paths of stored images, and count the files.

        A label that the source states replaces the stored one. The stored path is replaced only if
        its file no longer exists. `known` maps ids to stored records. Without it only labels are
        written, because the files have the content of earlier files of this load.
        """
        if self.collection is None or not files:
            return
        stored = self.collection.get([file.id for file in files]) if known is None else known
        changes, failures = self._all_changes(files, stored, repeats=known is None)
        skipped = len(files) - len(failures)
        changed = {content: fields for content, fields in changes.items() if fields}
        rows = [
            replace(row, fields={**row.fields, **changed[row.id.partition("#")[0]]})
            for row in image_rows(self.collection, list(changed))
        ]
        if rows:
            self._files.index.begin()
        failures |= (refused := upsert(self.collection, rows))
        for failure in failures.values():
            self.tally.failed(failure)
        self.tally.count("updated", len(changed) - len(refused))
        self.tally.count("skipped", skipped - len(changed))
        self.tally.clear(sum(fields.get("label") == "" for fields in changed.values()))
        for file in files:
            if file.id in stored and file.id not in failures:
                self._index(stored[file.id], changed.get(file.id, {}), file.path)
                if known is not None and file.data:
                    self._facts.note(file.id, file.path, known=True)

    def _all_changes(
        self, files: Sequence[Candidate], stored: Mapping[str, Record], *, repeats: bool
    ) -> tuple[dict[str, dict[str, Value]], dict[str, Failure]]:
        """Return the changed fields of stored images by id, and failures to read their facts."""
        changes: dict[str, dict[str, Value]] = {}
        failures: dict[str, Failure] = {}
        for file in files:
            if file.id not in stored:  # another program may have removed it
                continue
            try:
                facts = {} if repeats else self._facts.of_known(file, stored[file.id])
            except ImgSearchError as error:
                failures[file.id] = Failure.of(file.name, error)
            else:
                changes[file.id] = self._changes(stored[file.id], file, facts, repeats=repeats)
        return changes, failures

    def _index(self, record: Record, changes: Mapping[str, Value], path: str) -> None:
        """Note a stored image's label and path in the file index."""
        index = self._files.index
        label = str(changes.get("label", record.fields.get("label", "")))
        index.label(record.id, label, path)
        if "path" in changes:  # the file has moved
            index.forget_content(str(record.fields.get("path", "")), record.id)

    def _changes(
        self, record: Record, file: Candidate, facts: Mapping[str, Value], *, repeats: bool
    ) -> dict[str, Value]:
        """Return the changed fields of a stored image, given a file with the same content."""
        fields: dict[str, Value] = {}
        old, new = str(record.fields.get("path", "")), sources.printable(file.path)
        exists = sources.is_remote(old) or path.lexists(file_of(old))
        moves = not exists or file_of(old) == file_of(new)  # a frame may move within its video
        if not repeats:
            fields |= {
                name: value
                for name, value in {**facts, **file.fields}.items()
                if record.fields.get(name) != value and (moves or name not in VIDEO_FIELDS)
            }
        if new and not repeats and new != old and moves:
            fields["path"] = new
        label = None if self._own_labels else file.label
        if label is not None and label != record.fields.get("label", ""):
            fields["label"] = label
        return fields


def _with_data(file: Candidate) -> Candidate:
    """Return the candidate with its bytes, which are read if they were not.

    Raises:
        SourceError: the file cannot be read, or has changed.
    """
    if file.data:
        return file
    data = sources.read(file.path)
    if sources.content_id(data) != file.id:
        name = sources.printable(file.path)
        raise SourceError(f"{name}: changed while it was added. Add it again.", path=file.path)
    return replace(file, data=data)
