"""Originals and thumbnails, to be looked at."""

from typing import Final

from imgsearch.archive.outcomes import Original
from imgsearch.archive.reading import media_type
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import ObjectNotFound
from imgsearch.images import sources
from imgsearch.objects import ObjectStore
from imgsearch.objects import thumbnail as shrunk

_LINK_SECONDS: Final = 300


class Showing:
    """Reads what a row stands for: from the object store, or from where the file was left."""

    def __init__(self, catalog: Catalog, originals: ObjectStore | None, *, max_pixels: int) -> None:
        self._catalog, self._originals, self._max_pixels = catalog, originals, max_pixels

    def original(self, entry: Entry, *, link: bool = False) -> Original:
        """Return an image's original; with `link`, where the store gives any, a link to it.

        Raises:
            ObjectNotFound: its original was not kept, and its file is not there any more.
        """
        facts = (media_type(entry), entry.name, entry.size)
        if entry.stored and self._originals is not None:
            if link and (where := self._originals.link(entry.content, _LINK_SECONDS)):
                return Original(*facts, None, where)
            return Original(*facts, self._originals.stream(entry.content))
        return Original(*facts, iter([self._data(entry)]))

    def thumbnail(self, entry: Entry, edge: int) -> bytes:
        """Return a small form of an image, as `objects.thumbnail` makes it; kept once made.

        Raises: as `original` does.
        """
        store = self._originals if entry.stored else None
        if store is not None and (kept := store.thumbnail(entry.content, edge)) is not None:
            return kept
        # an image that was added under a higher limit is still shown
        allowed = max(self._max_pixels, entry.width * entry.height)
        made = shrunk(self._data(entry), edge, max_pixels=allowed)
        if store is not None:
            store.put_thumbnail(entry.content, edge, made)
            if not self._catalog.referenced([entry.content]):  # deleted before this was there
                store.delete(entry.content)
        return made

    def _data(self, entry: Entry) -> bytes:
        if entry.stored and self._originals is not None:
            return self._originals.get(entry.content)
        data = sources.read(entry.place) if entry.place else b""
        if sources.content_id(data) != entry.content:
            raise ObjectNotFound("its original was not kept, and its file is another one now")
        return data
