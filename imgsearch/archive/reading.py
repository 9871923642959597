"""An image on its way in: its bytes, and what the stores will hold of it."""

from dataclasses import dataclass, field
from typing import Final, Self

from imgsearch import images, sources
from imgsearch.archive.incoming import Incoming
from imgsearch.catalog import Entry, entry_id
from imgsearch.library import Library
from imgsearch.types import Record, Vector

_MEDIA_TYPES: Final = {"JPEG2000": "image/jp2", "PPM": "image/x-portable-anymap"}
_MAX_NAME: Final = 255  # characters; longer names lose their beginning


@dataclass(frozen=True, slots=True)
class Read:
    """An image that was read: its bytes, and the row that it will have."""

    data: bytes = field(repr=False)
    entry: Entry

    @classmethod
    def of(cls, item: Incoming, library: Library, *, stored: bool) -> Self:
        """Read an image for a library; `stored` tells whether its original is kept.

        Raises:
            SourceError, ImageError: it cannot be read, or is no image by its header.
        """
        data, collection = item.read(), library.name
        content, name = sources.content_id(data), sources.printable(item.name)[-_MAX_NAME:]
        place = sources.printable(item.place)
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
            label=sources.printable(item.label),
            fields=item.fields,
            encoder=library.recipe.model,
            stored=stored,
        )
        return cls(data, entry)


def record(entry: Entry, vector: Vector) -> Record:
    """Return what the vector store holds of an image; the first of its references speaks for it."""
    return Record(entry.content, vector, {"path": entry.place or entry.name, "label": entry.label})


def media_type(entry: Entry) -> str:
    """Return the media type of an image by its format, which was told by its bytes."""
    return _MEDIA_TYPES.get(entry.format, f"image/{entry.format.lower()}")
