"""The archive, which keeps originals, catalog and vectors consistent."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from imgsearch.archive import upload
from imgsearch.archive.addition import Addition
from imgsearch.archive.analysis import Analysis
from imgsearch.archive.clips import ClipRead, Clips, FrameOptions, kept_moment
from imgsearch.archive.contents import ArchiveContents
from imgsearch.archive.deletion import Deleter
from imgsearch.archive.libraries import WORTH_AN_INDEX, Libraries
from imgsearch.archive.originals import Originals
from imgsearch.archive.outcomes import (
    Added,
    Found,
    Repaired,
)
from imgsearch.archive.priority import Traffic
from imgsearch.archive.records import write_values
from imgsearch.archive.repair import Repair
from imgsearch.archive.search import Searcher
from imgsearch.archive.upload import Incoming, checked_fields
from imgsearch.archive.writer import Writer
from imgsearch.backends import StoreOptions
from imgsearch.catalog import Catalog, Entry
from imgsearch.encoders.detector import Detection
from imgsearch.errors import CollectionNotFound, ConfigError, ImgSearchError
from imgsearch.filters import composed
from imgsearch.images import MAX_PIXELS
from imgsearch.images.image_lists import ListColumns
from imgsearch.images.list_files import ANY_COLUMNS
from imgsearch.images.sampling import MAX_SECONDS, Sampling
from imgsearch.library.collection_options import CollectionOptions
from imgsearch.library.library import Library
from imgsearch.library.progress import Progress, Tally
from imgsearch.objects import ObjectStore
from imgsearch.query import EncodedQuery, Example, Query, SearchOptions
from imgsearch.types import Failure, Value, Vector

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline


def _nothing(_value: object) -> None:
    return None


class Archive(ArchiveContents):
    """Images in several collections: originals, catalog and vectors. Thread-safe.

    `store` is the vector store, and `creation` the encoder, index and metric of new collections.
    `max_pixels`, `steps` and `regions` are as for `imgsearch.open`; collections that were created
    without regions get none. Without `originals`, files stay in their
    folders and uploads cannot be shown later. `folder` reads only inside `roots`. At most
    `most_collections` collections can be created; None sets no limit. Videos longer than
    `max_video_seconds` are refused. `on_step` is called with the
    name of each write step, for crash tests.

    Raises:
        ConfigError, BackendError: as for `imgsearch.open`.
    """

    def __init__(
        self,
        store: StoreOptions,
        *,
        catalog: Catalog,
        originals: ObjectStore | None,
        creation: CollectionOptions = CollectionOptions(),  # noqa: B008 - frozen
        max_pixels: int = MAX_PIXELS,
        roots: Sequence[Path] = (),
        on_step: Callable[[str], None] | None = None,
        most_collections: int | None = None,
        steps: "Mapping[str, Pipeline] | None" = None,
        regions: "str | PathLike[str] | Detection | None" = None,
        max_video_seconds: float = MAX_SECONDS,
    ) -> None:
        self.catalog, self.originals, self.roots = catalog, originals, tuple(roots)
        self._on_step = on_step or _nothing
        self.max_pixels, self.max_video_seconds = max_pixels, max_video_seconds
        self._libraries = Libraries(
            store,
            creation,
            max_pixels=max_pixels,
            steps=steps,
            regions=None if regions is None else Detection.of(regions),
            most=most_collections,
        )
        self.url = self._libraries.url
        self.traffic = Traffic()
        self._searcher = Searcher(self._libraries, catalog, self.traffic)
        self._originals = Originals(originals, catalog, max_pixels=max_pixels)
        self._deleter = Deleter(self.library, catalog, self._originals, on_step=self._on_step)

    def library(self, collection: str = "images") -> Library:
        """Return the library of a collection, which is created with the first image.

        Raises:
            ConfigError: the name is invalid.
            EncoderMismatch: the collection has another encoder than the archive.
            SchemaMismatch: another program created the collection, or it has no fingerprint.
            LimitExceeded: the collection is new, and the archive has reached its limit.
        """
        return self._libraries.get(collection)

    def default(self) -> Library | None:
        """Return the library of "images" or another usable collection. Returns None without one."""
        return self._libraries.default()

    def add(
        self,
        items: Iterable[Incoming],
        *,
        collection: str = "images",
        found: int = 0,
        in_place: bool = False,
        background: bool = False,
        analysis: Analysis = Analysis(),  # noqa: B008 - frozen
        frames: str | float | Sampling = 1.0,
        on_video: Callable[[ClipRead], None] = _nothing,
        cancelled: Callable[[], bool] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> Added:
        """Add images. Unusable images are listed in `Added.report`.

        `found` is the expected number of images, 0 if unknown. If `in_place` is True, originals are
        not copied. If `background` is True, the addition works a quarter of the time during
        searches, and indexes all its images at the end. Otherwise small additions are searched by
        brute force until 256 images are not indexed. To finish an interrupted addition, call
        `repair` or add the same images again. `analysis` fills fields of new images.

        Of a video, `frames` are images, as for `Library.add`; the video's file is their original,
        which is stored once. `on_video` is called with each video whose frames were all read.

        Raises:
            ConfigError: `frames` is invalid.
            MissingExtra, ConfigError, TextUnsupported, SchemaMismatch: as for `Analysis`.
            EncoderError: the encoder cannot be built, or is not the collection's encoder.
            BackendError, CatalogError, ObjectStoreError: a store failed.
            LimitExceeded: the collection is new, and the archive has reached its limit.
        """
        analysis.check()
        sampling = Sampling.parse(frames)
        with self._libraries.using(collection) as library:
            tally = Tally(found, on_progress, on_failure)
            stored = self.originals is not None and not in_place
            clips = Clips(
                library,
                self.catalog,
                self._originals,
                tally,
                FrameOptions(sampling, self.max_video_seconds, on_video),
                roots=self.roots,
                stored=stored,
            )
            added = Addition(
                library,
                self.catalog,
                Writer(library, self.catalog, self._originals, on_step=self._on_step),
                tally,
                stored=stored,
                index=background,
                canceled=cancelled or _never,
                traffic=self.traffic if background else None,
                soon=WORTH_AN_INDEX if self._libraries.embedded else inf,
                analysis=analysis,
            ).run(clips.expanded(items))
            self._libraries.index_later(collection, added.report)
        return added

    def check_room(self, collection: str) -> None:
        """Check that a collection exists or can be created.

        Raises:
            LimitExceeded: the collection is new, and the archive has reached its limit.
        """
        self._libraries.check_room(collection)

    def folder(
        self,
        folder: str | PathLike[str],
        on_ignored: Callable[[str], None] | None = None,
        *,
        columns: ListColumns = ANY_COLUMNS,
        on_unlisted: Callable[[str], None] | None = None,
        exclude: Sequence[str] = (),
        with_videos: bool = False,
    ) -> Iterator[Incoming]:
        """Yield the images of a folder or list file inside `roots`; see `upload.files`.

        Raises:
            SourceError: the folder is not inside `roots`, or the list is invalid.
        """
        return upload.files(
            Path(folder),
            self.roots,
            on_ignored,
            columns=columns,
            on_unlisted=on_unlisted,
            exclude=exclude,
            with_videos=with_videos,
        )

    def search(
        self,
        query: Query | Example | EncodedQuery,
        options: SearchOptions = SearchOptions(),  # noqa: B008 - frozen
        *,
        collection: str = "images",
    ) -> list[Found]:
        """Return at most `options.k` hits with their catalog entries, nearest first.

        Raises: as for `Library.search`.
        """
        return self._searcher.run(query, options, collection=collection)

    def more_like(self, id_: str, options: SearchOptions = SearchOptions()) -> list[Found]:  # noqa: B008 - frozen
        """Return images similar to a stored image, without that image.

        Raises:
            ImageNotFound: no image has this id, or it has no vector yet.
        """
        return self._searcher.more_like(self.entry(id_), options)

    def vector(self, id_: str) -> Vector:
        """Return an image's vector, float32 (d,).

        Raises:
            ImageNotFound: no image has this id, or it has no vector yet.
        """
        return self._searcher.vector(self.entry(id_))

    def update(
        self,
        id_: str,
        *,
        label: str | None = None,
        fields: Mapping[str, Value] | None = None,
        name: str | None = None,
    ) -> Entry:
        """Change the values that are not None, and return the changed entry.

        If several images have the same content, searches filter by the label and fields of the
        first image.

        Raises:
            ImageNotFound: no image has this id.
            ImageBusy: the image is being deleted.
            ConfigError: a value is invalid.
            FieldInvalid: a declared field has another type.
        """
        text = None if label is None else composed(label)
        former: Mapping[str, Value] = {}
        if fields is not None:
            known = self.entry(id_)
            former = known.fields
            fields = checked_fields(fields, self.library(known.collection).fields)
            if known.original:
                fields = kept_moment(fields, known.fields)
        entry = self.catalog.update(id_, label=text, fields=fields, name=name)
        if label is not None or fields is not None:
            write_values(self.library(entry.collection), self.catalog, entry, former)
        return entry

    def delete(self, ids: Sequence[str]) -> int:
        """Delete images and return how many existed. Files that stayed in their folders are kept.

        An id of a video names all its frames. The video is deleted with its last frame.

        Raises:
            BackendError, CatalogError, ObjectStoreError: a store failed. Call `repair` to continue.
        """
        return self._deleter.run(list(dict.fromkeys([*ids, *self.catalog.of_videos(ids)])))

    def delete_video(self, id_: str) -> int:
        """Delete a video with its frames, and return their number; 0 if the video does not exist.

        Raises: as for `delete`.
        """
        return self._deleter.run(self.catalog.of_videos([id_]))

    def drop(self, collection: str, *, confirm: str) -> int:
        """Delete a collection with all its images, and return the number of images.

        Raises:
            ConfigError: `confirm` is not the collection's name.
            CollectionNotFound: the collection does not exist.
        """
        if confirm != collection:
            raise ConfigError(
                f"collection {collection!r} is not dropped: it is confirmed as {confirm!r}. "
                "Confirm with its name."
            )
        if collection not in self._libraries.names() and not self.catalog.count(collection):
            raise CollectionNotFound(f"collection {collection!r} does not exist")
        count = self._deleter.run_all(collection)
        self._libraries.drop(collection)
        return count

    def repair(self, *, older_than: float = 0.0) -> Repaired:
        """Finish additions and deletions that a crash interrupted; see `Repair.run`."""
        repair = Repair(self.library, self.catalog, self._originals, self._deleter)
        foreign = self._libraries.foreign_names()
        return repair.run(self._libraries.names(), foreign=foreign, older_than=older_than)

    def health(self) -> dict[str, str]:
        """Embed a test image and search for it. Returns "ok" or the error for each part."""
        checks = {
            "catalog": self.catalog.ping,
            "originals": self._originals.ping,
            "encoder": self._libraries.check_encoder,
            "vectors": self._libraries.check_search,
        }
        return {part: _state(check) for part, check in checks.items()}

    @override
    def close(self) -> None:
        """Close the vector store. `catalog` and `originals` stay open. Idempotent."""
        self._libraries.close()

    def __repr__(self) -> str:
        return f"<Archive {self.url}>"


def _state(check: Callable[[], object]) -> str:
    try:
        check()
    except ImgSearchError as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


def _never() -> bool:
    return False
