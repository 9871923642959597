"""Results of an archive: of adding, searching, counting and repairing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from imgsearch.backends import Schema
from imgsearch.catalog import Entry
from imgsearch.library.progress import FailedFile
from imgsearch.text import counted
from imgsearch.types import Hit


@dataclass(frozen=True, slots=True)
class Stages:
    """Counts of images that passed each stage of an addition; `found` is the total.

    `skipped` images were in the archive before, `updated` ones got another label. Inserted images
    are searchable at once, compared one by one until there are enough to be `indexed`.
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
        """The number of images that have an outcome."""
        return self.inserted + self.updated + self.skipped + self.failed


@dataclass(frozen=True, slots=True)
class Added:
    """Outcome of an addition: the rows of its images, the stages, and the failures.

    `notes` name contradicting labels for one row, and the label that counts.
    """

    entries: tuple[Entry, ...]
    stages: Stages
    failures: tuple[FailedFile, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A hit with the first entry of its content, and the number of its entries."""

    entry: Entry
    hit: Hit
    references: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of images of a collection, and of their vectors; equal images share one."""

    images: int
    vectors: int


@dataclass(frozen=True, slots=True)
class CollectionState:
    """A collection: its size, encoder, dimension, metric and index."""

    name: str
    images: int
    vectors: int
    model: str
    dim: int
    metric: str
    index: str

    @classmethod
    def of(cls, name: str, counts: Counts, schema: Schema) -> Self:
        """Return the state of a collection with these counts and this schema."""
        model = schema.encoder.model if schema.encoder else ""
        index = str(schema.index)
        return cls(name, counts.images, counts.vectors, model, schema.dim, schema.metric, index)


@dataclass(frozen=True, slots=True)
class Original:
    """An original: its bytes in parts, or a link to them that expires after some minutes."""

    media_type: str
    name: str
    size: int
    parts: Iterator[bytes] | None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Repaired:
    """The result of `repair`: counts of finished additions, finished deletions and failed images.

    `orphans` are originals without a row, which were deleted. `adopted` images had a vector and no
    row. `left` counts records and collections that imgsearch did not write and left unchanged.
    `notes` name the collections, and the first of the records.
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
        """Return the counts as a sentence."""
        return (
            f"{counted(self.completed, 'addition')} and {counted(self.deleted, 'deletion')} "
            f"finished, {self.failed} failed, {counted(self.orphans, 'original')} without a "
            f"row deleted, {counted(self.adopted, 'image')} adopted"
        )

    @property
    def anything(self) -> bool:
        """Whether anything was repaired."""
        return any((self.completed, self.deleted, self.failed, self.orphans, self.adopted))
