"""Access to originals, in an object store or in the files' own folders."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Final

from imgsearch import objects
from imgsearch.archive.outcomes import Original
from imgsearch.archive.upload import Clip, Upload
from imgsearch.catalog import Catalog, Entry, JobStateName
from imgsearch.errors import ConfigError, ObjectNotFound, SourceError
from imgsearch.images import sources, videos
from imgsearch.images.containers import MEDIA_TYPES as VIDEO_TYPES
from imgsearch.images.files import open_regular, unreadable
from imgsearch.images.videos import Opener
from imgsearch.objects import ObjectStore

TILE: Final = 256
"""Edge in pixels of the thumbnails that are stored when frames are added."""

PIECE: Final = 1 << 20
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
        contents = {upload.entry.file: upload for upload in uploads if upload.entry.stored}

        def write(upload: Upload) -> None:
            if upload.clip is None:
                store.put(upload.entry.content, upload.data, media_type(upload.entry.format))
            else:
                self.put_video(upload.clip)

        with ThreadPoolExecutor(_PUTS, "imgsearch-originals") as pool:
            list(pool.map(write, contents.values()))

    def put_video(self, clip: Clip) -> None:
        """Write the file of a video, unless it is stored.

        Raises:
            SourceError: the file has other bytes now.
        """
        if self._store is None:
            return
        try:
            self._store.put_file(clip.content, clip.opener, clip.size, media_type(clip.format))
        except ConfigError as error:
            raise SourceError("the file changed while it was read") from error

    def put_thumbnails(self, uploads: Iterable[Upload]) -> None:
        """Write thumbnails of frames, because a later one has to decode the video."""
        store = self._store
        frames = [upload for upload in uploads if upload.clip is not None and upload.entry.stored]
        if store is not None:
            for frame in frames:
                picture = objects.thumbnail(frame.data, TILE, max_pixels=self._max_pixels)
                store.put_thumbnail(frame.entry.content, TILE, picture)

    def read(self, entry: Entry) -> bytes:
        """Return the bytes of an image, of a frame its pixels as a PPM file.

        Raises:
            ObjectNotFound: the original was not kept, and the file's content has changed.
            SourceError: the original was not kept, and the file cannot be read.
        """
        if entry.stored and self._store is not None:
            return self._frame(entry) if entry.original else self._store.get(entry.content)
        if entry.original:
            data = self._frame(entry)
        else:
            data = sources.read(entry.place) if entry.place else b""
        if sources.content_id(data) != entry.content:
            raise ObjectNotFound("the original was not kept, and its file has other content now")
        return data

    def original(self, entry: Entry, *, link: bool = False) -> Original:
        """Return an image's original. If `link` is True, return a link if the store supports links.

        Raises: as for `read`.
        """
        facts = (media_type(entry.format), entry.name, entry.size)
        if entry.original:
            facts = (media_type(entry.format), video_of(entry.name), entry.size)
            if not link or not entry.stored:
                opener = self._opener(entry)
                return Original(*facts, pieces(opener), opener=opener)
        if not entry.stored or self._store is None:
            data = self.read(entry)
            return Original(*facts, iter([data]), opener=partial(BytesIO, data))
        if link and (url := self._store.link(entry.file, _LINK_SECONDS)):
            return Original(*facts, None, url)
        opener = partial(self._store.open, entry.file)
        return Original(*facts, self._store.stream(entry.file), opener=opener)

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
            if not self._catalog.referenced([entry.file]):  # the image has been deleted
                store.delete(entry.content)
        return thumbnail

    def _opener(self, entry: Entry) -> Opener:
        """Return a function that opens the video of a frame.

        Raises:
            ObjectNotFound: it was not kept, and the file has another size.
        """
        if entry.stored and self._store is not None:
            return partial(self._store.open, entry.original)
        path = video_of(entry.place)
        try:
            size = Path(path).stat().st_size
        except (OSError, ValueError) as error:
            raise unreadable(path, error) from error
        if size != entry.size:
            raise ObjectNotFound("the video was not kept, and its file has other content now")
        return partial(open_regular, path)

    def _frame(self, entry: Entry) -> bytes:
        allowed = max(self._max_pixels, entry.width * entry.height)
        pixels = videos.frame_at(
            entry.name, entry.seconds, max_pixels=allowed, opener=self._opener(entry)
        )
        return videos.ppm(pixels)

    def delete(self, contents: Iterable[str]) -> None:
        """Delete originals and their thumbnails, if they exist."""
        if self._store is not None:
            for content in contents:
                self._store.delete(content)

    def delete_orphans(self, older_than: float) -> int:
        """Delete originals without a row that are at least `older_than` seconds old.

        Videos that wait for their job are kept. Returns the number of deleted originals.
        """
        if self._store is None:
            return 0
        waiting = _waiting(self._catalog)
        old = (content for content, age in self._store.contents() if age >= older_than)
        count = 0
        while contents := list(islice(old, _BATCH)):
            orphans = set(contents) - self._catalog.referenced(contents) - waiting
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
    other = {**_MEDIA_TYPES, **VIDEO_TYPES}.get(format_)
    return other or f"image/{format_.lower()}"


def video_of(frame: str) -> str:
    """Return the name or the path of a frame's video."""
    return frame.rpartition("#t=")[0] or frame


def pieces(opener: Opener) -> Iterator[bytes]:
    """Yield a file in pieces."""
    with opener() as file:
        while piece := file.read(PIECE):
            yield piece


def _waiting(catalog: Catalog) -> set[str]:
    """Return the contents of uploaded videos that unfinished jobs add."""
    states: tuple[JobStateName, ...] = ("running", "queued")
    pages = [catalog.jobs(state=state, limit=1_000) for state in states]
    return {str(job.request.get("video", "")) for page in pages for job in page.jobs}
