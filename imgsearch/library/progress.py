"""Progress and report of a load, and how many images it handles at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, fsdecode, path
from time import monotonic
from typing import Final, Literal, TypeAlias, TypeVar

from imgsearch.errors import ImgSearchError
from imgsearch.images import sources
from imgsearch.images.references import Reference
from imgsearch.text import counted
from imgsearch.types import Failure, Value

Stage: TypeAlias = Literal[
    "found",
    "decoded",
    "embedded",
    "added",
    "indexed",
    "updated",
    "skipped",
    "failed",
    "ignored",
    "videos",
]
"""A number in `Progress`."""

SMALLEST: Final = 32  # files in a chunk: the batch size of most encoders
LARGEST: Final = 512  # files in a chunk: well below the 1,000 rows of Towhee's queues
_SECONDS: Final = 2.0  # duration of a chunk, and so the interval of progress reports
_KEPT: Final = 1_000  # failures in a report; all are counted and passed to `on_failure`
_NAMED: Final = 5  # contradictions in a report; all are counted
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image of a load: its path, the label that its source states, its key and bytes.

    `path` is an absolute path, a URL or a name, "" for an image in memory without a name, which
    messages name by its `place`. `label` is None if the source states no label, and "" if it states
    that the image has none. `fields` are further values that the source states. Of images with the
    same `id` the first one decides. In a library `id` is the content id.
    """

    path: str
    label: str | None
    id: str
    data: bytes = field(repr=False)
    fields: Mapping[str, Value] = field(default_factory=dict, kw_only=True, hash=False)
    place: str = field(default="", kw_only=True)

    @property
    def name(self) -> str:
        """The name of the image in the pipeline and in its errors."""
        return self.path or self.place


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a load: how many images passed each stage. `found` is their number.

    In a folder, ignored files count as found, too. `decoded` and `embedded` count new images before
    they are written. `added` images are searchable; `indexed` counts those for which an index was
    built. When the load ends, `done` equals `found`. Frames are images, and `videos` counts their
    videos that were read.
    """

    found: int = 0
    added: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    updated: int = 0
    ignored: int = 0
    decoded: int = 0
    embedded: int = 0
    indexed: int = 0
    videos: int = 0

    @property
    def done(self) -> int:
        """The number of images that have an outcome."""
        return self.added + self.updated + self.skipped + self.failed + self.ignored


@dataclass(frozen=True, slots=True)
class Report:
    """Report of a load. Every file has one outcome; of equal files the first one decides.

    `added`: new images. `updated`: known images whose label or path was changed.
    `skipped`: known images, and files with the content of an earlier file.
    `failed`: files that were not added; `failures` has the first 1,000 of them. A file with the
    content of a failed one fails, too.
    `ignored`: files in folders that are not images, and images that a user's steps left out.
    `notes`: sentences about decisions, such as the choice between two labels.
    `indexed`: how many of the added images an index was built for.
    `videos`: videos whose frames were read; each frame is an image.
    """

    added: int
    skipped: int
    failed: int
    ignored: int
    seconds: float
    failures: tuple[Failure, ...] = ()
    updated: int = 0
    notes: tuple[str, ...] = ()
    indexed: int = 0
    videos: int = 0


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Report of a sync. Of the images that the folders hold, every file has one outcome.

    `added`: files with new images. `changed`: files whose image was replaced, because they have
    other bytes. `renamed`: files with the image of a file that no longer exists.
    `deleted`: images that were removed, because no file has them any more.
    `unchanged`: files whose images are stored; `updated` of these images got another label.
    `failed`: files that were not added; `failures` has the first 1,000 of them.
    `ignored`: files that are not images. `deleted_paths` has the first 1,000 paths of deleted
    images. `reasons` are sentences why the sync must be confirmed. After a dry run nothing was
    changed, and undecodable files count as added.
    """

    added: int = 0
    changed: int = 0
    renamed: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: int = 0
    ignored: int = 0
    updated: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    failures: tuple[Failure, ...] = ()
    deleted_paths: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Tally:
    """Counts outcomes and stages, and reports progress to the caller.

    `total` is the expected number of images, 0 if unknown.
    """

    def __init__(
        self,
        total: int = 0,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
        on_ignored: Callable[[str], None] | None = None,
    ) -> None:
        self._start, self._on_ignored = monotonic(), on_ignored
        self._on_progress, self._on_failure = on_progress, on_failure
        self._now = Progress(total)
        self._failures: list[Failure] = []
        self._notes: dict[str, None] = {}
        self._contradictions: list[str] = []
        self._taken = self._contradicting = self._cleared = self._left_out = 0
        self._expected, self._ended = 0, False

    @property
    def now(self) -> Progress:
        """The present progress."""
        found = max(self._now.found, self._now.done, self._expected)
        return replace(self._now, found=found, seconds=monotonic() - self._start)

    def expect(self, total: int) -> None:
        """Set the expected number of images, from any thread. Has no effect after the load."""
        self._expected = 0 if self._ended else total

    def take(self) -> None:
        """Count an image that is read. If there are more than expected, more were found."""
        self._taken += 1
        if self._taken + self._now.ignored > self._now.found:
            self.count("found")

    def count(self, stage: Stage, number: int = 1) -> None:
        """Count images with this outcome, or at this stage."""
        self._now = replace(self._now, **{stage: getattr(self._now, stage) + number})

    def fail(self, path: str, error: ImgSearchError) -> None:
        """Count an image that was not added because of `error`."""
        self.failed(Failure.of(path, error))

    def failed(self, failed: Failure) -> None:
        """Count an image that was not added, and keep the first failures for the report."""
        self.count("failed")
        if len(self._failures) < _KEPT:
            self._failures.append(failed)
        if self._on_failure:
            self._on_failure(failed)

    def ignore(self, path: str) -> None:
        """Count a file in a folder that is not an image, or is excluded."""
        self.count("ignored")
        if self._on_ignored is not None:
            self._on_ignored(path)

    def leave_out(self, number: int) -> None:
        """Count images that a user's steps left out."""
        self.count("ignored", number)
        self._left_out += number

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
            self._contradictions.append(_contradiction(file, label, known_path()))

    def report_progress(self) -> None:
        """Report progress to the caller."""
        if self._on_progress:
            self._on_progress(self.now)

    def report(self, *, complete: bool = True) -> Report:
        """Send a last progress report, and return the report of the load.

        If the load is `complete`, `done` equals `found`.
        """
        self._expected, self._ended = 0 if complete else self._expected, True
        if complete:
            self._now = replace(self._now, found=self._now.done)
        self.report_progress()
        now = self.now
        return Report(
            now.added,
            now.skipped,
            now.failed,
            now.ignored,
            now.seconds,
            tuple(self._failures),
            now.updated,
            (*self._notes, *self._label_notes()),
            now.indexed,
            now.videos,
        )

    def _label_notes(self) -> Iterator[str]:
        yield from self._contradictions
        if more := self._contradicting - len(self._contradictions):
            stating = counted(more, "more file states", "more files state")
            yield f"{stating} another label than an earlier file of the same content"
        if self._left_out:
            images = counted(self._left_out, "image was", "images were")
            yield f"{images} left out by the pipeline"
        if self._cleared:
            removed = counted(self._cleared, "label was", "labels were")
            yield f"{removed} removed: their source has an empty label"


class BatchSize:
    """An adaptive number of images: doubled after a fast batch, halved after a slow one.

    It starts with `first`, and never exceeds what `largest` returns. If it is not `adaptive`, it
    stays the same.
    """

    def __init__(
        self,
        first: int = SMALLEST,
        largest: Callable[[], int] = lambda: LARGEST,
        *,
        adaptive: bool = True,
    ) -> None:
        self._value, self._largest, self._adaptive = first, largest, adaptive

    @property
    def value(self) -> int:
        """The size of the next batch."""
        return min(self._value, self._largest())

    def adapt(self, seconds: float) -> None:
        """Set the size of the next batch according to the time that the last one took."""
        if not self._adaptive:
            return
        if self._value < SMALLEST or seconds < _SECONDS:
            self._value = min(LARGEST, self._value * 2)
        else:
            self._value = max(SMALLEST, self._value // 2)

    def split(self, files: Sequence[T]) -> Iterator[Sequence[T]]:
        """Yield the files in parts. The time that the caller takes for a part adapts the next."""
        start = 0
        while start < len(files):
            part, started = files[start : start + self.value], monotonic()
            start += len(part)
            yield part
            self.adapt(monotonic() - started)


def _contradiction(file: Candidate, label: str, known_path: str) -> str:
    """Return the note about a file whose label differs from `label`, the one used."""
    return (
        f"{sources.printable(file.path)} states the label {file.label!r}, but the same image at "
        f"{known_path} has {label!r}, which was stated first and counts"
    )


def stored_path(image: Reference) -> str:
    """Return the path of an image as stored in records. The name of an image in memory is kept."""
    return absolute(image.path) if image.content is None else image.path


def absolute(file: str | PathLike[str]) -> str:
    """Return a path as stored in records: absolute, without "..", with symbolic links kept.

    A URL is returned unchanged.
    """
    if sources.is_remote(fsdecode(file)):
        return fsdecode(file)
    # resolve() would follow links; Path.expanduser raises for a name that merely begins with ~
    return path.abspath(path.expanduser(fsdecode(file)))  # noqa: PTH100, PTH111
