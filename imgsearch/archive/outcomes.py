"""What an archive answers: what was added, found, counted and repaired."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from imgsearch.catalog import Entry
from imgsearch.loading import FailedFile
from imgsearch.types import Hit
from imgsearch.wording import counted


@dataclass(frozen=True, slots=True)
class Stages:
    """How far images have come, each a count of those that passed: `found` is what there is to do.

    `skipped` were there already, `updated` got another label. All that are inserted are
    searchable; `indexed` once there are enough of them, and compared one by one until then.
    """

    found: int = 0
    decoded: int = 0
    embedded: int = 0
    inserted: int = 0
    searchable: int = 0
    indexed: int = 0
    skipped: int = 0
    failed: int = 0
    updated: int = 0

    def plus(self, **more: int) -> Self:
        """Return counts with `more` added to some."""
        return replace(self, **{name: getattr(self, name) + n for name, n in more.items()})

    @property
    def done(self) -> int:
        """How many are dealt with."""
        return self.inserted + self.updated + self.skipped + self.failed


@dataclass(frozen=True, slots=True)
class Added:
    """How adding ended: the rows that are there now, how many of them are new, what went wrong.

    `notes` say which of two labels that were stated for one row counts.
    """

    entries: tuple[Entry, ...]
    stages: Stages
    failures: tuple[FailedFile, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A hit, with what is known of it: its first reference, and how many there are."""

    entry: Entry
    hit: Hit
    references: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many images a collection has, which may share contents, and how many vectors."""

    images: int
    vectors: int


@dataclass(frozen=True, slots=True)
class CollectionState:
    """A collection: its size, and the encoder, metric and index that it was made with."""

    name: str
    images: int
    vectors: int
    model: str
    dim: int
    metric: str
    index: str


@dataclass(frozen=True, slots=True)
class Original:
    """An original: its bytes in parts, or a link to fetch them by for some minutes."""

    media_type: str
    name: str
    size: int
    parts: Iterator[bytes] | None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Repaired:
    """What `repair` did: images finished, deletions finished, images given up for a reason.

    `orphans` are originals that no row named; `adopted` images that only the vector store knew.
    `left` are records and collections that imgsearch did not write and left alone; `notes` names
    them, some of the records only.
    """

    completed: int = 0
    deleted: int = 0
    failed: int = 0
    orphans: int = 0
    adopted: int = 0
    left: int = 0
    notes: tuple[str, ...] = ()

    def plus(self, **more: int) -> Self:
        """Return counts with `more` added to some."""
        return replace(self, **{name: getattr(self, name) + n for name, n in more.items()})

    def summary(self) -> str:
        """Return in words what was done."""
        return (
            f"{counted(self.completed, 'addition')} and {counted(self.deleted, 'deletion')} "
            f"finished, {self.failed} given up, {counted(self.orphans, 'original')} without a "
            f"row taken away, {counted(self.adopted, 'image')} adopted"
        )

    @property
    def anything(self) -> bool:
        """Whether there was anything to do."""
        return any((self.completed, self.deleted, self.failed, self.orphans, self.adopted))
