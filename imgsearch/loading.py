"""How a load goes: its files in chunks, its progress while it runs, its report at the end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import PathLike, fsdecode, path
from time import monotonic
from typing import Final, Literal, TypeAlias, get_args

from imgsearch import sources
from imgsearch.errors import EncoderError, ImageError, ImgSearchError, SourceError
from imgsearch.sources import Reference
from imgsearch.wording import counted

Outcome: TypeAlias = Literal["added", "updated", "skipped", "failed"]
_SMALLEST: Final = 32  # files a chunk: a batch of the encoder
_LARGEST: Final = 512  # files a chunk: well below the 1,000 rows of Towhee's queues
_CHUNK_SECONDS: Final = 2.0  # how often a load tells of its progress, about
_CHUNK_BYTES: Final = 64 * 2**20  # encoded images held at once
_KEPT: Final = 1_000  # failures that a report keeps; all are counted, and told to `on_failure`
_NAMED: Final = 5  # contradictions that a report names; all are counted


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file of a load: its absolute path, the label that its source states, its bytes.

    `label` is None where the source states nothing, "" where it states that there is no label.
    `id` is the id of the content.
    """

    path: str
    label: str | None
    id: str
    data: bytes = field(repr=False)


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
    """How far a load is. `found` is how many files its sources hold, those ignored included.

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
        """How many files have an outcome."""
        return self.added + self.updated + self.skipped + self.failed + self.ignored


@dataclass(frozen=True, slots=True)
class Report:
    """How a load ended: every file has one outcome, the first file of a content decides.

    `added`: new images. `updated`: known images whose label or path was changed.
    `skipped`: known images, and further files with the content of an earlier one.
    `failed`: files that did not go in; `failures` names the first 1,000 of them. A file with the
    content of a failed one fails, too.
    `ignored`: files of a folder that are no images.
    `notes`: sentences about what was decided, such as which of two labels counts.
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
        found: int,
        on_progress: Callable[[Progress], None] | None,
        on_failure: Callable[[FailedFile], None] | None,
    ) -> None:
        self._found, self._start = found, monotonic()
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

    def note(self, sentence: str) -> None:
        """Add a sentence to the report, once."""
        self._notes[sentence] = None

    def clear(self, number: int) -> None:
        """Count labels that were removed because the source states that there is none."""
        self._cleared += number

    def contradict(self, file: Candidate, label: str, known_path: Callable[[], str]) -> None:
        """Count a file that states another label than `label`, which counts for its content."""
        self._contradicting += 1
        if len(self._contradictions) < _NAMED:
            self._contradictions.append(contradiction(file, label, known_path()))

    def tell(self) -> None:
        """Report progress to the caller."""
        if self._on_progress:
            now = Progress(
                self._found, **self._counts, ignored=self._ignored, seconds=self._seconds()
            )
            self._on_progress(now)

    def report(self) -> Report:
        """Return how the load ended, after a last progress report in which all is done."""
        self._found = sum(self._counts.values()) + self._ignored
        self.tell()
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


def chunks(references: Iterator[Reference], tally: Tally) -> Iterator[list[Candidate]]:
    """Read files into chunks, each as large as takes about two seconds to embed and insert.

    A file that cannot be read is counted as failed; every file is in just one chunk.
    """
    chunk: list[Candidate] = []
    size, wanted, started = 0, _SMALLEST, monotonic()
    for reference in references:
        try:
            data = sources.read(reference)
        except SourceError as error:
            tally.fail(reference.path, error)
            continue
        content = sources.content_id(data)
        chunk.append(Candidate(absolute(reference.path), reference.label, content, data))
        size += len(data)
        if len(chunk) >= wanted or size >= _CHUNK_BYTES:
            yield chunk
            quick = monotonic() - started < _CHUNK_SECONDS
            wanted = min(_LARGEST, wanted * 2) if quick else max(_SMALLEST, wanted // 2)
            chunk, size, started = [], 0, monotonic()
    yield chunk


def contradiction(file: Candidate, label: str, known_path: str) -> str:
    """Return the note about a file that states another label than that of its content."""
    return (
        f"{sources.printable(file.path)} states the label {file.label!r}, but the same image at "
        f"{known_path} has {label!r}, which was stated first and counts"
    )


def absolute(file: str | PathLike[str]) -> str:
    """Return a path as records hold it: absolute and without "..", symbolic links left alone."""
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
