"""How a load goes: its files in chunks, its progress while it runs, its report at the end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, path
from pathlib import Path
from time import monotonic
from typing import Final, Literal, TypeAlias

from imgsearch import sources
from imgsearch.backends import Collection
from imgsearch.errors import EncoderError, ImageError, ImgSearchError, SourceError
from imgsearch.sources import Reference
from imgsearch.types import Record

Entry: TypeAlias = tuple[str, str, str, bytes]
"""One file of a load: path, label, content id, bytes."""

Outcome: TypeAlias = Literal["added", "skipped", "failed"]
_SMALLEST: Final = 32  # files a chunk: a batch of the encoder
_LARGEST: Final = 512  # files a chunk: well below the 1,000 rows of Towhee's queues
_CHUNK_SECONDS: Final = 2.0  # how often a load tells of its progress, about
_CHUNK_BYTES: Final = 64 * 2**20  # encoded images held at once
_KEPT: Final = 1_000  # failures that a report keeps; all are counted, and told to `on_failure`


@dataclass(frozen=True, slots=True)
class FailedFile:
    """One file that did not go in, and why.

    `stage` is "read", "header", "decode", "convert", "embed" or "insert".
    """

    path: str
    stage: str
    error: str
    reason: str

    @classmethod
    def of(cls, path: str, error: ImgSearchError) -> "FailedFile":
        """Return the line for `path`, which ended in `error`."""
        return cls(path, _stage(error), type(error).__name__, str(error))


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a load stands. `found` is how many candidates the sources hold, at most."""

    found: int
    added: int
    skipped: int
    failed: int
    seconds: float

    @property
    def done(self) -> int:
        """How many candidates are dealt with."""
        return self.added + self.skipped + self.failed


@dataclass(frozen=True, slots=True)
class Report:
    """How a load ended.

    `added`: new images. `skipped`: contents that were there already, or came twice.
    `failed`: files that did not go in; `failures` names the first 1,000 of them.
    `ignored`: files of a folder that are no images.
    """

    added: int
    skipped: int
    failed: int
    ignored: int
    seconds: float
    failures: tuple[FailedFile, ...] = ()


class Tally:
    """Counts outcomes and tells the caller of each change."""

    def __init__(
        self,
        found: int,
        on_progress: Callable[[Progress], None] | None,
        on_failure: Callable[[FailedFile], None] | None,
    ) -> None:
        self._found, self._start = found, monotonic()
        self._on_progress, self._on_failure = on_progress, on_failure
        self._counts: dict[Outcome, int] = {"added": 0, "skipped": 0, "failed": 0}
        self._failures: list[FailedFile] = []
        self._ignored = 0

    def count(self, outcome: Outcome, number: int = 1) -> None:
        """Count files with this outcome."""
        self._counts[outcome] += number

    def fail(self, path: str, error: ImgSearchError) -> None:
        """Count a file that did not go in."""
        self.failed(FailedFile.of(path, error))

    def failed(self, failed: FailedFile) -> None:
        """Count a file that did not go in, as its line tells."""
        self.count("failed")
        if len(self._failures) < _KEPT:
            self._failures.append(failed)
        if self._on_failure:
            self._on_failure(failed)

    def ignore(self, _path: str) -> None:
        """Count a file of a folder that is no image."""
        self._ignored += 1

    def tell(self) -> None:
        """Tell the caller where the load stands."""
        if self._on_progress:
            self._on_progress(Progress(self._found, **self._counts, seconds=self._seconds()))

    def report(self) -> Report:
        """Return how the load ended."""
        return Report(
            **self._counts,
            ignored=self._ignored,
            seconds=self._seconds(),
            failures=tuple(self._failures),
        )

    def _seconds(self) -> float:
        return monotonic() - self._start


def chunks(references: Iterator[Reference], tally: Tally) -> Iterator[list[Entry]]:
    """Read files into chunks, each as large as takes about two seconds to embed and insert.

    A file that cannot be read is counted as failed; every file is in just one chunk.
    """
    chunk: list[Entry] = []
    size, wanted, started = 0, _SMALLEST, monotonic()
    for reference in references:
        try:
            data = sources.read(reference)
        except SourceError as error:
            tally.fail(reference.path, error)
            continue
        chunk.append((absolute(reference.path), reference.label, sources.content_id(data), data))
        size += len(data)
        if len(chunk) >= wanted or size >= _CHUNK_BYTES:
            yield chunk
            quick = monotonic() - started < _CHUNK_SECONDS
            wanted = min(_LARGEST, wanted * 2) if quick else max(_SMALLEST, wanted // 2)
            chunk, size, started = [], 0, monotonic()
    yield chunk


def follow(collection: Collection, entries: Sequence[Entry], there: Mapping[str, Record]) -> None:
    """Write the path and label of contents that were moved, or labelled, since they were added.

    A content has one path: the first, until no file lies there any more.
    """
    moved = [entry for entry in entries if _is_stale(there[entry[2]], entry)]
    if moved:
        stored = collection.get([id_ for _, _, id_, _ in moved], vectors=True)
        collection.upsert(
            replace(
                stored[id_],
                fields={**stored[id_].fields, "path": sources.printable(file), "label": label},
            )
            for file, label, id_, _ in moved
        )


def _is_stale(record: Record, entry: Entry) -> bool:
    file, label, *_ = entry
    old = str(record.fields.get("path", ""))
    if sources.printable(file) == old:
        return bool(label) and not record.fields.get("label")
    return not path.lexists(old)


def absolute(file: str | PathLike[str]) -> str:
    """Return a path as records hold it: absolute and without "..", symbolic links left alone."""
    return path.abspath(Path(file).expanduser())  # noqa: PTH100 - resolve() would follow links


def _stage(error: ImgSearchError) -> str:
    match error:
        case ImageError():
            return error.stage
        case SourceError():
            return "read"
        case EncoderError():
            return "embed"
        case _:
            return "insert"
