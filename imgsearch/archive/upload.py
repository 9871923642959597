"""Images on their way into an archive: uploaded bytes, or files that stay in their folders."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonpath
from pathlib import Path
from typing import Final, Self

from imgsearch import images
from imgsearch.catalog import Entry, entry_id
from imgsearch.errors import SourceError
from imgsearch.images import sources
from imgsearch.library.ingest import vectors_of
from imgsearch.library.library import Library
from imgsearch.library.progress import Candidate, FailedFile
from imgsearch.types import Value, Vector

OUTSIDE: Final = "the folder is outside the folders that this archive may add from"

_MAX_NAME: Final = 255  # characters; longer names lose their beginning


@dataclass(frozen=True, slots=True)
class Incoming:
    """One image to add. Its bytes are `data`, or come from `reader` or the file at `place`.

    `name` is the user's name for it, and never used as a path. `place` is its origin: the absolute
    path of a file, a URL, or "" for an upload. `id` is the id of its row; by default it is derived
    from content, source and place. Without a `label` a stored image keeps its label; "" removes it.
    """

    name: str
    data: bytes | None = field(default=None, repr=False)
    source: str = "upload"
    place: str = ""
    label: str | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    id: str | None = None
    reader: Callable[[], bytes] | None = field(default=None, repr=False)

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            SourceError: they cannot be read or fetched.
        """
        if self.data is not None:
            return self.data
        return self.reader() if self.reader is not None else sources.read(self.place)


@dataclass(frozen=True, slots=True)
class Upload:
    """An image that was read: its bytes, its future row, and the label that its source states.

    `stated` is None if the source states no label, and "" if it states that the image has none.
    """

    data: bytes = field(repr=False)
    entry: Entry
    stated: str | None

    @classmethod
    def read(cls, item: Incoming, library: Library, *, stored: bool) -> Self:
        """Read an image for a library; `stored` is True if its original is kept.

        Raises:
            SourceError, ImageError: it cannot be read, or its header is not an image's.
        """
        data, collection = item.read(), library.name
        content, name = sources.content_id(data), sources.printable(item.name)[-_MAX_NAME:]
        place = sources.printable(item.place)
        stated = None if item.label is None else sources.label_text(item.label)
        kind, width, height = images.header(data, path=name, max_pixels=library.max_pixels)
        entry = Entry(
            id=item.id or entry_id(collection, content, item.source, place or name),
            collection=collection,
            content=content,
            source=item.source,
            name=name,
            place=place,
            size=len(data),
            width=width,
            height=height,
            format=kind,
            label=stated or "",
            fields=item.fields,
            encoder=library.recipe.model,
            stored=stored,
        )
        return cls(data, entry, stated)

    @property
    def candidate(self) -> Candidate:
        """The image for a `RepeatedFiles`, which counts rows here, not contents."""
        entry = self.entry
        return Candidate(entry.place or entry.name, self.stated, self.key(entry), b"")

    @staticmethod
    def key(entry: Entry) -> str:
        """Return the key of a row in a `RepeatedFiles`: a hash, as the row's id may be any text."""
        return sources.content_id(entry.id.encode())


def embed(
    library: Library, uploads: Sequence[Upload], *, one_core: bool = False
) -> tuple[dict[str, Vector], dict[str, FailedFile]]:
    """Embed images; return vectors and failures by content."""
    if not uploads:
        return {}, {}
    named = [(upload.entry.name, upload.data) for upload in uploads]
    rows = library.embed(named, one_core=one_core)
    matrix = iter(vectors_of(rows))
    vectors: dict[str, Vector] = {}
    failures: dict[str, FailedFile] = {}
    for row in rows.drop_columns("vector").to_pylist():
        if row["status"] == "ok":
            vectors[row["sha256"]] = next(matrix)
        else:
            failures[row["sha256"]] = FailedFile.of_row(row)
    return vectors, failures


def inside(folder: Path, roots: Sequence[Path]) -> Path:
    """Return `folder` without symbolic links and "..", which must lie inside one of `roots`.

    Raises:
        SourceError: it lies outside, or does not exist; the text is the same for both.
    """
    try:
        real = folder.expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: the path has a NUL
        raise SourceError(OUTSIDE) from error
    if not real.is_dir() or not any(_within(real, root) for root in roots):
        raise SourceError(OUTSIDE)
    return real


def files(
    folder: Path, roots: Sequence[Path], on_ignored: Callable[[str], None] | None = None
) -> Iterator[Incoming]:
    """Yield the images of a folder inside `roots`, sorted, labeled by their own folder's name.

    Symbolic links to files outside of `roots` are skipped.

    Raises:
        SourceError: the folder is not inside `roots`.
    """
    real = inside(folder, roots)
    for reference in sources.references(str(real), on_ignored=on_ignored):
        file = Path(reference.path)
        if any(_within(file.resolve(), root) for root in roots):
            place = str(file.absolute())
            yield Incoming(file.name, source="folder", place=place, label=reference.label)


def _within(path: Path, root: Path) -> bool:
    try:
        top = root.expanduser().resolve(strict=True)
        return commonpath([path, top]) == str(top)
    except (OSError, RuntimeError, ValueError):
        return False
