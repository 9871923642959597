"""An image that is being added: its bytes, its row, its record."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from imgsearch import images
from imgsearch.archive.upload import Incoming
from imgsearch.catalog import Entry, entry_id
from imgsearch.errors import CollectionNotFound
from imgsearch.images import sources
from imgsearch.library.ingest import vectors_of
from imgsearch.library.library import Library
from imgsearch.library.progress import Candidate, FailedFile
from imgsearch.types import Record, Vector

_MEDIA_TYPES: Final = {"JPEG2000": "image/jp2", "PPM": "image/x-portable-anymap"}
_MAX_NAME: Final = 255  # characters; longer names lose their beginning


@dataclass(frozen=True, slots=True)
class Read:
    """An image that was read: its bytes, its future row, and the label that its source states.

    `stated` is None if the source states no label, and "" if it states that the image has none.
    """

    data: bytes = field(repr=False)
    entry: Entry
    stated: str | None

    @classmethod
    def of(cls, item: Incoming, library: Library, *, stored: bool) -> Self:
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
        """The image for a `RepeatedFiles`, whose contents are rows here."""
        entry = self.entry
        return Candidate(entry.place or entry.name, self.stated, self.key(entry), b"")

    @staticmethod
    def key(entry: Entry) -> str:
        """Return the key of a row in a `RepeatedFiles`: a hash, as the row's id may be any text."""
        return sources.content_id(entry.id.encode())


def record(entry: Entry, vector: Vector) -> Record:
    """Return the vector store's record of a content, by the first entry of the content."""
    return Record(entry.content, vector, {"path": entry.place or entry.name, "label": entry.label})


def known_vectors(library: Library, contents: Sequence[str]) -> set[str]:
    """Return the contents that have a vector."""
    try:
        return set(library.collection.get(contents)) if contents else set()
    except CollectionNotFound:
        return set()


def vectors_of_images(
    library: Library, read: Sequence[Read], *, one_core: bool = False
) -> tuple[dict[str, Vector], dict[str, FailedFile]]:
    """Embed images; return vectors and failures by content."""
    if not read:
        return {}, {}
    named = [(image.entry.name, image.data) for image in read]
    rows = library.embed(named, one_core=one_core)
    matrix = iter(vectors_of(rows))
    vectors: dict[str, Vector] = {}
    failed: dict[str, FailedFile] = {}
    for row in rows.drop_columns("vector").to_pylist():
        if row["status"] == "ok":
            vectors[row["sha256"]] = next(matrix)
        else:
            failed[row["sha256"]] = FailedFile.of_row(row)
    return vectors, failed


def media_type(entry: Entry) -> str:
    """Return the media type of an image by its format."""
    return _MEDIA_TYPES.get(entry.format, f"image/{entry.format.lower()}")
