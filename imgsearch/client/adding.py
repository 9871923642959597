"""Images on their way to a service: read, put together by label, sent, and told of one by one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from imgsearch import errors, sources
from imgsearch.client.answers import part
from imgsearch.client.connection import Connection, parsed, problem
from imgsearch.client.job import failed
from imgsearch.loading import FailedFile, Tally, absolute
from imgsearch.sources import Reference

_FILES: Final = 32  # of one request: progress moves, and an answer comes in seconds
_BYTES: Final = 32 * 2**20
# what is wrong with one file, and not with the whole request
_ITS_OWN: Final = (
    errors.ImageError,
    errors.SourceError,
    errors.ImageExists,
    errors.ImageBusy,
    errors.VectorInvalid,
)
_TOO_LARGE: Final = 413


@dataclass(slots=True)
class _Parcel:
    """Files of one label that go in one request; no two of the same name, so answers can tell."""

    label: str
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # name → path, bytes
    size: int = 0

    def takes(self, name: str, size: int) -> bool:
        """Tell whether there is room for a file."""
        room = len(self.files) < _FILES and (not self.size or self.size + size <= _BYTES)
        return room and name not in self.files


class Adding:
    """Sends images to one collection."""

    def __init__(self, connection: Connection, collection: str, tally: Tally) -> None:
        self._connection, self._collection, self._tally = connection, collection, tally

    def run(self, references: Iterator[Reference]) -> None:
        """Send what `references` name; a file that does not go in is a line of the tally.

        Raises:
            ImgSearchError: the service refused or failed; what was counted as added is there.
        """
        parcels: dict[str, _Parcel] = {}
        for reference in references:
            try:
                data = sources.read(reference)
            except errors.SourceError as error:
                self._tally.fail(reference.path, error)
                continue
            name = _name(reference.path)
            label = reference.label or ""
            parcel = parcels.setdefault(label, _Parcel(label))
            if not parcel.takes(name, len(data)):
                self._send(parcel)
                parcel = parcels[label] = _Parcel(label)
            parcel.files[name] = (absolute(reference.path), data)
            parcel.size += len(data)
            if sum(each.size for each in parcels.values()) > 2 * _BYTES:  # many labels at once
                self._send(parcels.pop(max(parcels, key=lambda label: parcels[label].size)))
        for parcel in parcels.values():
            self._send(parcel)

    def _send(self, parcel: _Parcel) -> None:
        if not parcel.files:
            return
        response = self._connection.answer(
            "POST",
            "/v1/images",
            repeat=False,
            data={"collection": self._collection, "label": parcel.label},
            files=[("file", (name, data)) for name, (_, data) in parcel.files.items()],
        )
        if response.is_success:
            self._count(parcel, parsed(response))
            return
        error = problem(response)
        if not isinstance(error, _ITS_OWN) and response.status_code != _TOO_LARGE:
            raise error
        if len(parcel.files) > 1:  # which of them it is, each one tells for itself
            for name, (path, data) in parcel.files.items():
                self._send(_Parcel(parcel.label, {name: (path, data)}, len(data)))
            return
        ((path, _),) = parcel.files.values()
        self._tally.fail(sources.printable(path), error)
        self._tally.tell()

    def _count(self, parcel: _Parcel, told: object) -> None:
        new, lines = int(part(told, "new")), list[FailedFile]()
        for each in part(told, "failures"):
            path, _ = parcel.files.get(str(part(each, "name")), ("", b""))
            lines.append(failed(each, sources.printable(path)))
        self._tally.count("added", new)
        self._tally.count("skipped", len(parcel.files) - new - len(lines))
        for line in lines:
            self._tally.failed(line)
        self._tally.tell()


def _name(path: str) -> str:
    """Return a file's name as services show it."""
    return sources.printable(absolute(path)).rpartition("/")[2]
