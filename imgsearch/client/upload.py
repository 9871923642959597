"""Uploads images: reads files, groups them by label, sends them, and counts each outcome."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Final

from imgsearch import errors
from imgsearch.client.connection import Connection, error_of
from imgsearch.images import sources
from imgsearch.images.read_ahead import Early, ReadAhead
from imgsearch.images.references import Reference
from imgsearch.images.sources import Fetch
from imgsearch.images.urls import file_name
from imgsearch.library.progress import Candidate, Tally, absolute, stored_path
from imgsearch.library.repeated_files import RepeatedFiles
from imgsearch.types import Failure
from imgsearch.wire.responses import UploadResult, parse

_FILES: Final = 32  # per request: few enough for a response and progress within seconds
_BYTES: Final = 32 * 2**20
ITS_OWN: Final = (
    errors.ImageError,
    errors.SourceError,
    errors.ImageExists,
    errors.ImageBusy,
    errors.VectorInvalid,
    errors.FieldInvalid,
)
"""Errors that concern one file, not the whole request."""

_TOO_LARGE: Final = 413


@dataclass(slots=True)
class _Parcel:
    """Files with one label for one request. Names are unique, as failures are listed by name."""

    label: str | None
    files: dict[str, Candidate] = field(default_factory=dict)
    size: int = 0

    def takes(self, name: str, size: int) -> bool:
        """Return whether a file with this name and size in bytes can be added."""
        room = len(self.files) < _FILES and (not self.size or self.size + size <= _BYTES)
        return room and name not in self.files

    def put(self, file: Candidate) -> None:
        """Add a file."""
        self.files[_name(file)] = file
        self.size += len(file.data)


class Uploader:
    """Uploads images to one collection.

    If files have the same content and name, only the first is sent. A later one is sent only if
    its label must be set. `fetch` downloads images by URL. `form` are further
    fields of each request.
    """

    def __init__(
        self,
        connection: Connection,
        collection: str,
        tally: Tally,
        *,
        fetch: Fetch | None = None,
        form: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._form = form
        self._connection, self._collection, self._tally = connection, collection, tally
        self._fetch = fetch
        self._repeats: RepeatedFiles[Candidate] = RepeatedFiles(
            tally, lambda _key: "an earlier path"
        )
        self._parcels: dict[str | None, _Parcel] = {}
        self._contents: dict[str, str | None] = {}  # content → label, for the files in parcels

    def run(self, references: Iterator[Reference]) -> None:
        """Send the referenced images; count their outcomes in the tally.

        Raises:
            ImgSearchError: the service rejected a request or failed; images counted as added are
                stored.
        """
        with ReadAhead(self._early) as ahead:
            for reference, file in ahead.items(references):
                try:
                    data = self._read(reference) if file is None else file()
                except errors.ImgSearchError as error:
                    self._tally.fail(sources.printable(reference.title), error)
                else:
                    self._take(reference, data)
        for label in list(self._parcels):
            self._flush(label)

    def _early(self, reference: Reference) -> Early | None:
        """Return how a file is read before its turn."""
        if reference.content is not None:
            return None
        return Early.of(reference.path, partial(self._read, reference))

    def _read(self, reference: Reference) -> bytes:
        return sources.read(reference, fetch=self._fetch)

    def _take(self, reference: Reference, data: bytes) -> None:
        """Add an image that was read to a parcel, unless it repeats an earlier one."""
        firsts, relabeled = self._repeats.firsts([_candidate(reference, data)])
        for file in relabeled:
            self._send_alone(replace(file, data=data))
        for file in firsts:
            self._put(file)

    def _put(self, file: Candidate) -> None:
        """Add a file to its label's parcel, and send full parcels."""
        content, size = sources.content_id(file.data), len(file.data)
        earlier = self._contents.get(content, file.label)
        if earlier != file.label:  # the first image with a content has to arrive first
            self._flush(earlier)
        parcel = self._parcels.setdefault(file.label, _Parcel(file.label))
        if not parcel.takes(_name(file), size):
            self._flush(file.label)
            parcel = self._parcels.setdefault(file.label, _Parcel(file.label))
        parcel.put(file)
        self._contents.setdefault(content, file.label)
        if sum(waiting.size for waiting in self._parcels.values()) > 2 * _BYTES:  # many labels
            self._flush(max(self._parcels, key=lambda label: self._parcels[label].size))

    def _flush(self, label: str | None) -> None:
        """Send the parcel of a label, if it exists."""
        parcel = self._parcels.pop(label, None)
        if parcel is not None:
            self._contents = {key: of for key, of in self._contents.items() if of != label}
            self._send(parcel)

    def _send_alone(self, file: Candidate) -> None:
        parcel = _Parcel(file.label)
        parcel.put(file)
        self._send(parcel)

    def _send(self, parcel: _Parcel) -> None:
        form = {} if parcel.label is None else {"label": parcel.label}
        fields = [file.fields for file in parcel.files.values()]
        if any(fields):
            form["fields"] = json.dumps(fields)
        response = self._connection.send(
            "POST",
            "/v1/images",
            repeat=False,
            data={"collection": self._collection, **self._form, **form},
            files=[("file", (name, file.data)) for name, file in parcel.files.items()],
        )
        if response.is_success:
            self._count(parcel, parse(UploadResult, response.content))
            return
        error = error_of(response)
        if not isinstance(error, ITS_OWN) and response.status_code != _TOO_LARGE:
            raise error
        if len(parcel.files) > 1:  # if the files are sent one by one, each gets its own error
            for file in parcel.files.values():
                self._send_alone(file)
            return
        (file,) = parcel.files.values()
        self._fail(file, Failure.of(sources.printable(file.name), error))
        self._tally.report_progress()

    def _count(self, parcel: _Parcel, result: UploadResult) -> None:
        failures: dict[str, Failure] = {}
        for failed in result.failures:
            path = parcel.files[failed.name].name if failed.name in parcel.files else ""
            failures[failed.name] = failed.failure(sources.printable(path))
        known = len(parcel.files) - result.new - result.updated - len(failures)
        self._tally.count("added", result.new)
        self._tally.count("updated", result.updated)
        self._tally.count("skipped", known)
        for name, file in parcel.files.items():
            if name in failures:
                self._fail(file, failures[name])
            else:
                self._settle(file)
        self._tally.report_progress()

    def _fail(self, file: Candidate, failure: Failure) -> None:
        self._tally.failed(failure)
        self._settle(file, failure)

    def _settle(self, file: Candidate, failure: Failure | None = None) -> None:
        """Record a file's outcome, and send later equal files whose labels must be set."""
        if self._repeats.is_open(file):
            for later in self._repeats.settle(file, failure):
                self._send_alone(replace(later, data=file.data))


def _candidate(image: Reference, data: bytes) -> Candidate:
    """Return a candidate with an id derived from content and name, like the service's."""
    content, path = sources.content_id(data), stored_path(image)
    file = Candidate(path, image.label, content, data, fields=image.fields, place=image.place)
    return replace(file, id=sources.content_id(f"{content} {_name(file)}".encode()))


def _name(file: Candidate) -> str:
    return uploaded_name(file.path, file.data)


def uploaded_name(path: str, data: bytes) -> str:
    """Return a file's name in the form that services show. Images without a name get one."""
    if sources.is_remote(path):
        return sources.printable(file_name(path))
    name = sources.printable(absolute(path)).rpartition("/")[2] if path else ""
    return name or f"image-{sources.content_id(data)[:16]}"
