"""An archive and its jobs, as a key sees them that is limited to some collections."""

import inspect
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast

from typing_extensions import override

from imgsearch.archive.archive import Archive
from imgsearch.archive.jobs import Jobs
from imgsearch.catalog import Entry, Job, JobPage, Page
from imgsearch.errors import CollectionDenied, CollectionNotFound, ImageNotFound, JobNotFound
from imgsearch.library.library import Library
from imgsearch.types import Vector
from imgsearch.wire.responses import CollectionInfo

M = TypeVar("M", bound=Callable[..., Any])


def denied(collections: Collection[str], needed: str) -> CollectionDenied:
    """Return the error for a key that is limited to `collections`."""
    known = ", ".join(sorted(collections))
    return CollectionDenied(
        f"the key is limited to the collections {known}, and this needs {needed}. Use another key."
    )


class _Limit:
    """Names of collections. A subclass refuses all methods that it does not define.

    So a method that is added to `Archive` or `Jobs` later is refused, too, until it is listed.
    """

    collections_of_key: tuple[str, ...]

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse an attribute of the whole archive, such as its catalog.

        Raises:
            CollectionDenied: always, except for names of Python's own protocols.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        raise denied(self.collections_of_key, "all collections")


def _of_collection(method: M) -> M:
    """Return a method that first checks the collection in its argument `collection` or `name`."""
    signature = inspect.signature(method)
    parameter = next(name for name in ("collection", "name") if name in signature.parameters)

    @wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        given = signature.bind(self, *args, **options)
        given.apply_defaults()
        self.require(given.arguments[parameter])
        return method(self.whole, *args, **options)

    return cast(M, call)


def _of_item(method: M) -> M:
    """Return a method that first checks the collection of the image or job with the id `id_`."""

    @wraps(method)
    def call(self: Any, id_: str, *args: Any, **options: Any) -> Any:
        self.require_item(id_)
        return method(self.whole, id_, *args, **options)

    return cast(M, call)


class LimitedArchive(_Limit, Archive):
    """An archive in which only `collections` can be used, which need not exist yet.

    Images of other collections do not exist for it. It cannot be closed.
    """

    def __init__(self, archive: Archive, collections: Collection[str]) -> None:
        self.collections_of_key = tuple(collections)
        self.whole = archive
        self.roots, self.max_pixels = archive.roots, archive.max_pixels
        self.url, self.traffic = archive.url, archive.traffic

    def require(self, name: str) -> None:
        """Check that a collection may be used.

        Raises:
            CollectionDenied: it may not, or the name is an alias of another collection.
        """
        if name not in self.collections_of_key:
            raise denied(self.collections_of_key, f"{name!r}")
        if self.whole.is_alias(name):
            raise denied(self.collections_of_key, f"the collection of which {name!r} is an alias")

    def require_item(self, id_: str) -> None:
        """Check that an image is in a collection that may be used.

        Raises:
            ImageNotFound: no image has this id, or its collection may not be used.
        """
        self.entry(id_)

    add = _of_collection(Archive.add)
    check_room = _of_collection(Archive.check_room)
    collection = _of_collection(Archive.collection)
    count = _of_collection(Archive.count)
    declare_fields = _of_collection(Archive.declare_fields)
    dim = _of_collection(Archive.dim)
    drop = _of_collection(Archive.drop)
    encode = _of_collection(Archive.encode)
    existing = _of_collection(Archive.existing)
    facets = _of_collection(Archive.facets)
    field_types = _of_collection(Archive.field_types)
    labels = _of_collection(Archive.labels)
    library = _of_collection(Archive.library)
    search = _of_collection(Archive.search)
    more_like = _of_item(Archive.more_like)
    original = _of_item(Archive.original)
    picture = _of_item(Archive.picture)
    thumbnail = _of_item(Archive.thumbnail)
    update = _of_item(Archive.update)
    vector = _of_item(Archive.vector)
    videos = _of_collection(Archive.videos)

    @override
    def entry(self, id_: str) -> Entry:
        entry = self.whole.entry(id_)
        if entry.collection not in self.collections_of_key:
            raise ImageNotFound(f"image {id_!r} does not exist")
        self.require(entry.collection)
        return entry

    @override
    def entries(self, collection: str | None = None, **options: Any) -> Page:
        if collection is not None:
            self.require(collection)
            return self.whole.entries(collection, **options)
        return self.whole.entries(None, **options, collections=self.collections_of_key)

    @override
    def collections(self, only: Collection[str] | None = None) -> list[CollectionInfo]:
        own = self.collections_of_key
        return self.whole.collections(own if only is None else set(own) & set(only))

    @override
    def default(self) -> Library | None:
        for name in self.collections_of_key:
            with suppress(CollectionNotFound):
                return self.existing(name)
        return None

    @override
    def delete(self, ids: Sequence[str]) -> int:
        frames = self.whole.catalog.of_videos(ids)
        # not its `delete`, which would take the id of an own image for that of another's video
        return self.whole._deleter.run(self._own([*ids, *frames]))

    @override
    def delete_video(self, id_: str) -> int:
        return self.whole._deleter.run(self._own(self.whole.catalog.of_videos([id_])))

    @override
    def vectors(self, ids: Sequence[str]) -> dict[str, Vector]:
        return self.whole.vectors(self._own(ids))

    def _own(self, ids: Sequence[str]) -> list[str]:
        """Return the ids of images in collections that may be used."""
        known = self.whole.catalog.find(ids)
        own = {
            id_: entry.collection
            for id_, entry in known.items()
            if entry.collection in self.collections_of_key
        }
        for name in set(own.values()):
            self.require(name)
        return [id_ for id_ in dict.fromkeys(ids) if id_ in own]


class LimitedJobs(_Limit, Jobs):
    """The jobs of some collections of an archive; its other jobs cannot be used.

    Jobs of other collections do not exist for it. It cannot be stopped.
    """

    def __init__(self, jobs: Jobs, archive: LimitedArchive) -> None:
        self.collections_of_key = archive.collections_of_key
        self.whole, self.require = jobs, archive.require

    def require_item(self, id_: str) -> None:
        """Check that a job is of a collection that may be used.

        Raises:
            JobNotFound: it is not, or no job has this id.
        """
        self.get(id_)

    plan_sync = _of_collection(Jobs.plan_sync)
    start_folder = _of_collection(Jobs.start_folder)
    start_migration = _of_collection(Jobs.start_migration)
    start_urls = _of_collection(Jobs.start_urls)
    start_video = _of_collection(Jobs.start_video)
    cancel = _of_item(Jobs.cancel)
    failures = _of_item(Jobs.failures)
    forget = _of_item(Jobs.forget)
    retry = _of_item(Jobs.retry)
    watch = _of_item(Jobs.watch)

    @override
    def get(self, id_: str) -> Job:
        job = self.whole.get(id_)
        if job.collection not in self.collections_of_key:
            raise JobNotFound(f"job {id_!r} does not exist")
        self.require(job.collection)
        return job

    @override
    def known(self, id_: str) -> Job | None:
        job = self.whole.known(id_)
        return job if job is not None and job.collection in self.collections_of_key else None

    @override
    def recent(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        collections: Collection[str] | None = None,
    ) -> JobPage:
        own = set(self.collections_of_key)
        chosen = own if collections is None else own & set(collections)
        return self.whole.recent(limit=limit, after=after, collections=chosen)
