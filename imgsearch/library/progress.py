"""Progress and report of a load, and how its files are split into chunks and parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fsdecode, path
from time import monotonic
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

from imgsearch.errors import EncoderError, ImageError, ImgSearchError, SourceError
from imgsearch.images import sources
from imgsearch.images.sources import Reference
from imgsearch.text import counted

Outcome: TypeAlias = Literal["added", "updated", "skipped", "failed"]
_SMALLEST: Final = 32  # files in a chunk: the batch size of most encoders
_LARGEST: Final = 512  # files in a chunk: well below the 1,000 rows of Towhee's queues
_SECONDS: Final = 2.0  # duration of a chunk, and so the interval of progress reports
_CHUNK_BYTES: Final = 64 * 2**20  # encoded images held at once
_KEPT: Final = 1_000  # failures in a report; all are counted and passed to `on_failure`
_NAMED: Final = 5  # contradictions in a report; all are counted
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file of a load: its absolute path, the label that its source states, its id and bytes.

    `label` is None if the source states no label, and "" if it states that the image has none.
    `id` is the content id.
    """

    path: str
    label: str | None
    id: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FailedFile:
    """One file that was not added, and why.

    `stage` is "read", "header", "decode", "convert", "embed" or "insert".
    """

    path: str
    stage: str
    error: str
    reason: str

    @classmethod
    def of(cls, path: str, error: ImgSearchError) -> "FailedFile":
        """Return the failure of the file at `path`."""
        return cls(path, _stage(error), type(error).__name__, str(error))

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "FailedFile":
        """Return the failure that a row of `embedding.SCHEMA` reports."""
        name, _, reason = row["error"].partition(": ")
        return cls(row["source"], row["status"], name, reason)


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a load. `found` is the number of files in its sources, including ignored ones.

    When the load ends, `done` equals `found`.
    """

    found: int
    added: int
    skipped: int
    failed: int
    seconds: float
    updated: int = 0
    ignored: int = 0

    @property
    def done(self) -> int:
        """The number of files that have an outcome."""
        return self.added + self.updated + self.skipped + self.failed + self.ignored


@dataclass(frozen=True, slots=True)
class Report:
    """Report of a load. Every file has one outcome; of equal files the first one decides.

    `added`: new images. `updated`: known images whose label or path was changed.
    `skipped`: known images, and files with the content of an earlier file.
    `failed`: files that were not added; `failures` has the first 1,000 of them. A file with the
    content of a failed one fails, too.
    `ignored`: files in folders that are not images.
    `notes`: sentences about decisions, such as the choice between two labels.
    """

    added: int
    skipped: int
    failed: int
    ignored: int
    seconds: float
    failures: tuple[FailedFile, ...] = ()
    updated: int = 0
    notes: tuple[str, ...] = ()


class Tally:
    """Counts outcomes and reports progress to the caller."""

    def __init__(
        self,
        total: int,
        on_progress: Callable[[Progress], None] | None,
        on_failure: Callable[[FailedFile], None] | None,
    ) -> None:
        self._total, self._start = total, monotonic()
        self._on_progress, self._on_failure = on_progress, on_failure
        self._counts: dict[Outcome, int] = dict.fromkeys(get_args(Outcome), 0)
        self._failures: list[FailedFile] = []
        self._notes: dict[str, None] = {}
        self._contradictions: list[str] = []
        self._ignored = self._contradicting = self._cleared = 0

    def count(self, outcome: Outcome, number: int = 1) -> None:
        """Count files with this outcome."""
        self._counts[outcome] += number

    def fail(self, path: str, error: ImgSearchError) -> None:
        """Count a file that was not added because of `error`."""
        self.failed(FailedFile.of(path, error))

    def failed(self, failed: FailedFile) -> None:
        """Count a file that was not added, and keep the first failures for the report."""
        self.count("failed")
        if len(self._failures) < _KEPT:
            self._failures.append(failed)
        if self._on_failure:
            self._on_failure(failed)

    def ignore(self, _path: str) -> None:
        """Count a file in a folder that is not an image."""
        self._ignored += 1

    def note(self, sentence: str) -> None:
        """Add a sentence to the report unless it was added before."""
        if sentence:
            self._notes[sentence] = None

    def clear(self, number: int) -> None:
        """Count labels that were removed because the source has an empty label."""
        self._cleared += number

    def contradict(self, file: Candidate, label: str, known_path: Callable[[], str]) -> None:
        """Count a file whose label differs from `label`, the one used for its content."""
        self._contradicting += 1
        if len(self._contradictions) < _NAMED:
            self._contradictions.append(contradiction(file, label, known_path()))

    def report_progress(self) -> None:
        """Report progress to the caller."""
        if self._on_progress:
            now = Progress(
                self._total, **self._counts, ignored=self._ignored, seconds=self._seconds()
            )
            self._on_progress(now)

    def report(self) -> Report:
        """Send a last progress report, with `done` = `found`; return the report of the load."""
        self._total = sum(self._counts.values()) + self._ignored
        self.report_progress()
        return Report(
            **self._counts,
            ignored=self._ignored,
            seconds=self._seconds(),
            failures=tuple(self._failures),
            notes=(*self._notes, *self._label_notes()),
        )

    def _label_notes(self) -> Iterator[str]:
        yield from self._contradictions
        if more := self._contradicting - len(self._contradictions):
            stating = counted(more, "more file states", "more files state")
            yield f"{stating} another label than an earlier file of the same content"
        if self._cleared:
            removed = counted(self._cleared, "label was", "labels were")
            yield f"{removed} removed: their source has an empty label"

    def _seconds(self) -> float:
        return monotonic() - self._start


class Parts:
    """Splits images into parts for embedding: 1, 2, 4, … images, then about two seconds' worth."""

    def __init__(self, *, largest: int = _LARGEST) -> None:
        self._size = _BatchSize(1, largest)

    def of(self, files: Sequence[T]) -> Iterator[Sequence[T]]:
        """Yield the files in parts. The time that the caller takes for a part adapts the next."""
        start = 0
        while start < len(files):
            part, started = files[start : start + self._size.value], monotonic()
            start += len(part)
            yield part
            self._size.adapt(monotonic() - started)


class _BatchSize:
    """An adaptive number of images: doubled after a fast batch, halved after a slow one."""

    def __init__(self, first: int, largest: int) -> None:
        self.value, self._largest = first, largest

    def adapt(self, seconds: float) -> None:
        """Set the size of the next batch according to the time that the last one took."""
        if self.value < _SMALLEST or seconds < _SECONDS:
            self.value = min(self._largest, self.value * 2)
        else:
            self.value = max(_SMALLEST, self.value // 2)


def chunks(references: Iterator[Reference], tally: Tally) -> Iterator[list[Candidate]]:
    """Read files into chunks that take about two seconds to read, embed and write.

    A file that cannot be read is counted as failed. Every other file is in one chunk.
    """
    chunk: list[Candidate] = []
    size, wanted, started = 0, _BatchSize(_SMALLEST, _LARGEST), monotonic()
    for reference in references:
        try:
            data = sources.read(reference)
        except SourceError as error:
            tally.fail(reference.path, error)
            continue
        content = sources.content_id(data)
        chunk.append(Candidate(absolute(reference.path), reference.label, content, data))
        size += len(data)
        if len(chunk) >= wanted.value or size >= _CHUNK_BYTES:
            yield chunk
            wanted.adapt(monotonic() - started)
            chunk, size, started = [], 0, monotonic()
    yield chunk


def contradiction(file: Candidate, label: str, known_path: str) -> str:
    """Return the note about a file whose label differs from `label`, the one used."""
    return (
        f"{sources.printable(file.path)} states the label {file.label!r}, but the same image at "
        f"{known_path} has {label!r}, which was stated first and counts"
    )


def absolute(file: str | PathLike[str]) -> str:
    """Return a path as stored in records: absolute, without "..", with symbolic links kept."""
    # resolve() would follow links; Path.expanduser raises for a name that merely begins with ~
    return path.abspath(path.expanduser(fsdecode(file)))  # noqa: PTH100, PTH111


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
