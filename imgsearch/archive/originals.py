"""Access to originals, in an object store or in the files' own folders."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from imgsearch import objects
from imgsearch.archive.outcomes import Original
from imgsearch.archive.upload import Upload
from imgsearch.catalog import Catalog, Entry
from imgsearch.errors import ObjectNotFound
from imgsearch.images import sources
from imgsearch.objects import ObjectStore

_LINK_SECONDS: Final = 300
_PUTS: Final = 4  # originals written at the same time
_BATCH: Final = 500  # contents looked up in one catalog query
_MEDIA_TYPES: Final = {"JPEG2000": "image/jp2", "PPM": "image/x-portable-anymap"}


class Originals:
    """Writes, reads and deletes originals. Without a `store`, none are written. Thread-safe."""

    def __init__(self, store: ObjectStore | None, catalog: Catalog, *, max_pixels: int) -> None:
        self._store, self._catalog, self._max_pixels = store, catalog, max_pixels

    def put(self, uploads: Iterable[Upload]) -> None:
        """Write the originals of entries that are `stored`, once for each content."""
        store = self._store
        if store is None:
            return
        contents = {upload.entry.content: upload for upload in uploads if upload.entry.stored}

        def write(upload: Upload) -> None:
            store.put(upload.entry.content, upload.data, media_type(upload.entry.format))

        with ThreadPoolExecutor(_PUTS, "imgsearch-originals") as pool:
            list(pool.map(write, contents.values()))

    def read(self, entry: Entry) -> bytes:
        """Return the bytes of an image.

        Raises:
            ObjectNotFound: the original was not kept, and the file's content has changed.
            SourceError: the original was not kept, and the file cannot be read.
        """
        if entry.stored and self._store is not None:
            return self._store.get(entry.content)
        data = sources.read(entry.place) if entry.place else b""
        if sources.content_id(data) != entry.content:
            raise ObjectNotFound("the original was not kept, and its file has other content now")
        return data

    def original(self, entry: Entry, *, link: bool = False) -> Original:
        """Return an image's original. If `link` is True, return a link if the store supports links.

        Raises: as for `read`.
        """
        facts = (media_type(entry.format), entry.name, entry.size)
        if not entry.stored or self._store is None:
            return Original(*facts, iter([self.read(entry)]))
        if link and (url := self._store.link(entry.content, _LINK_SECONDS)):
            return Original(*facts, None, url)
        return Original(*facts, self._store.stream(entry.content))

    def thumbnail(self, entry: Entry, edge: int) -> bytes:
        """Return a WebP thumbnail; see `objects.thumbnail`. It is saved for later calls.

        Raises: as for `read`.
        """
        store = self._store if entry.stored else None
        if store is not None and (kept := store.thumbnail(entry.content, edge)) is not None:
            return kept
        # images that were added with a higher limit can still have a thumbnail
        allowed = max(self._max_pixels, entry.width * entry.height)
        thumbnail = objects.thumbnail(self.read(entry), edge, max_pixels=allowed)
        if store is not None:
            store.put_thumbnail(entry.content, edge, thumbnail)
            if not self._catalog.referenced([entry.content]):  # the image has been deleted
                store.delete(entry.content)
        return thumbnail

    def delete(self, contents: Iterable[str]) -> None:
        """Delete originals and their thumbnails, if they exist."""
        if self._store is not None:
            for content in contents:
                self._store.delete(content)

    def delete_orphans(self, older_than: float) -> int:
        """Delete originals without a row that are at least `older_than` seconds old.

        Returns the number of deleted originals.
        """
        if self._store is None:
            return 0
        old = (content for content, age in self._store.contents() if age >= older_than)
        count = 0
        while contents := list(islice(old, _BATCH)):
            orphans = set(contents) - self._catalog.referenced(contents)
            self.delete(orphans)
            count += len(orphans)
        return count

    def ping(self) -> None:
        """Check that the object store responds, if there is one.

        Raises:
            ObjectStoreError: the store does not respond.
        """
        if self._store is not None:
            self._store.ping()


def media_type(format_: str) -> str:
    """Return the media type of an image format, such as "JPEG"."""
    return _MEDIA_TYPES.get(format_, f"image/{format_.lower()}")
