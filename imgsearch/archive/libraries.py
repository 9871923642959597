"""The libraries of one store, opened at the first use and kept open."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from imgsearch.backends import StoreOptions, is_embedded, versions
from imgsearch.backends.regions import has_regions
from imgsearch.encoders.detector import Detection
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    ImgSearchError,
    LimitExceeded,
    SchemaMismatch,
)
from imgsearch.images import MAX_PIXELS, checked_limit
from imgsearch.library import growth
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.collection_options import CollectionOptions
from imgsearch.library.hit_finder import StoreSearch
from imgsearch.library.library import Library
from imgsearch.library.progress import Report
from imgsearch.types import check_name

if TYPE_CHECKING:
    from imgsearch.towhee import Pipeline

WORTH_AN_INDEX: Final = 256
"""The number of images from which an index is worth its cost. Fewer use brute force."""
_log = logging.getLogger(__name__)


class Libraries:
    """Opens the libraries of a store. Thread-safe.

    `creation` applies to new collections; for existing ones only its `weights` and `fields` are
    used. `max_pixels`, `steps` and `regions` are as for `imgsearch.open`; collections that were
    created without regions get none. At most `most` collections can be
    created; None sets no limit. Libraries get the `store_search` that was set before they were
    opened.
    """

    def __init__(
        self,
        store: StoreOptions,
        creation: CollectionOptions,
        *,
        max_pixels: int = MAX_PIXELS,
        steps: "Mapping[str, Pipeline] | None" = None,
        regions: Detection | None = None,
        most: int | None = None,
    ) -> None:
        if most is not None and most < 1:
            raise ConfigError(f"the limit of collections is invalid: {most}. Pass at least 1.")
        checked_limit(max_pixels)
        self._most = most
        self._users: dict[str, int] = {}  # number of additions that use a library, by name
        self._creation, self._max_pixels, self._steps = creation, max_pixels, steps
        self._regions = regions
        self._store = store.connect()
        self.url = self._store.url
        self._store_options = replace(store, url=self.url)
        # an embedded store runs one call at a time, and compares rows outside the index in Python,
        # which takes 25 µs a row
        self.embedded = is_embedded(self.url)
        self.store_search: StoreSearch | None = None
        self._open: dict[str, Library] = {}
        self._waiting: dict[str, int] = {}  # images that are not indexed yet
        self._advised: set[str] = set()  # collections whose growth was logged
        self._lock = threading.RLock()

    def get(self, name: str) -> Library:
        """Return the library of a collection, which is created with the first image.

        Raises:
            ConfigError: the name is invalid.
            EncoderMismatch: the collection has another encoder.
            SchemaMismatch: another program created the collection, or it has no fingerprint.
            LimitExceeded: the collection is new, and `most` exist.
        """
        with self._lock:
            if name not in self._open:
                check_name(name)
                options = self._creation
                existing = versions.collections(self._store)
                self._check_room(name, existing)
                if name in existing:
                    self._require_own(name)
                    migrated = versions.read(self._store, name).current != name
                    options = CollectionOptions(
                        weights=None if migrated else options.weights,
                        fields=options.fields,
                        exif=options.exif,
                    )
                handle = CollectionHandle(self._store_options, name, options)
                collection = handle.current()
                library = Library(
                    handle,
                    regions=self._regions
                    if collection is None or has_regions(collection)
                    else None,
                    max_pixels=self._max_pixels,
                    steps=self._steps,
                )
                library.store_search = self.store_search
                self._open[name] = library
            return self._open[name]

    @contextmanager
    def using(self, name: str) -> Iterator[Library]:
        """Return a context manager that yields the library of a collection, for an addition.

        If the collection was not created, the library is closed again, so that its name does not
        count towards `most`.

        Raises: as for `get`.
        """
        with self._lock:
            library = self.get(name)
            self._users[name] = self._users.get(name, 0) + 1
        try:
            yield library
        finally:
            with self._lock:
                self._users[name] -= 1
                if not self._users[name]:
                    del self._users[name]
                    if self._open.get(name) is library and not library.exists():
                        self._open.pop(name).close()

    def check_room(self, name: str) -> None:
        """Check that a collection exists or can be created.

        Raises:
            LimitExceeded: the collection is new, and `most` exist.
        """
        with self._lock:
            if name not in self._open:
                self._check_room(name, versions.collections(self._store))

    def _check_room(self, name: str, existing: Sequence[str]) -> None:
        taken = {*existing, *self._open}
        if self._most is not None and name not in taken and len(taken) >= self._most:
            raise LimitExceeded(
                f"collection {name!r} cannot be created: {len(taken)} of at most {self._most} "
                "exist. Add to an existing one, or have an admin drop one or raise the limit."
            )

    def default(self) -> Library | None:
        """Return the library of "images" or another usable collection. Returns None without one."""
        try:
            return self.get("images")
        except (SchemaMismatch, LimitExceeded):
            return next(map(self.get, self.names()), None)

    def existing(self, name: str) -> Library:
        """Return the library of an existing collection.

        Raises:
            CollectionNotFound: the collection does not exist.
            SchemaMismatch: another program created the collection, or it has no fingerprint.
        """
        if name not in self._open and name not in versions.collections(self._store):
            raise CollectionNotFound(f"collection {name!r} does not exist yet. Add images to it.")
        return self.get(name)

    def names(self) -> list[str]:
        """Return the names of the collections that imgsearch created, sorted."""
        return [name for name in versions.collections(self._store) if not self._is_foreign(name)]

    def is_alias(self, name: str) -> bool:
        """Return whether another collection is stored under a name, which `names` does not list.

        This is an alias in the store, or one of the versions behind a collection's name.
        """
        with self._lock:
            library = self._open.get(name)
        try:
            if library is not None:
                return library.collection.name != library.version
            if name in versions.collections(self._store):
                return False
            versions.encoder(self._store, name)
        except CollectionNotFound:
            return False
        except SchemaMismatch:  # another program's
            return True
        return True

    def foreign_names(self) -> list[str]:
        """Return the names of collections of other programs, or without an encoder fingerprint."""
        return [name for name in versions.collections(self._store) if self._is_foreign(name)]

    def index_later(self, name: str, report: Report) -> None:
        """Build an index once enough images of small additions are not indexed.

        Building an index after each small addition would be slow.
        """
        with self._lock:
            waiting = self._waiting.get(name, 0) + report.added - report.indexed
            due = waiting >= WORTH_AN_INDEX
            self._waiting[name] = 0 if due or report.indexed else waiting
        if due:
            self.get(name).collection.flush()
        if due or report.indexed:
            self.log_growth(name)

    def log_growth(self, name: str) -> None:
        """Log once that a server would search a collection faster; see `library.growth`."""
        if not self.embedded or name in self._advised:
            return
        try:
            library = self.existing(name)
            line = growth.advice(self.url, library.collection, name=name)
        except ImgSearchError as error:  # advice must not fail an addition that succeeded
            _log.info("the search time of collection %r was not measured: %s", name, error)
            return
        with self._lock:
            is_new = bool(line) and name not in self._advised
            self._advised |= {name} if is_new else set()
        if is_new:
            _log.warning("%s", line)

    def drop(self, name: str) -> None:
        """Delete a collection if it exists."""
        with self._lock:
            library = self._open.pop(name, None)
            if library is not None:
                library.close()
            if name in self.names():
                versions.drop(self._store, name)

    def _is_foreign(self, name: str) -> bool:
        if name in self._open:
            return False
        try:
            check_name(name)
            self._require_own(name)
        except (ConfigError, SchemaMismatch):  # such as binary vectors
            return True
        except CollectionNotFound:  # another program has dropped it
            return False
        return False

    def _require_own(self, name: str) -> None:
        """Check that a collection has an encoder fingerprint, without loading the collection.

        Raises:
            SchemaMismatch: it has no fingerprint, or another program created it.
        """
        if versions.encoder(self._store, name) is None:
            raise SchemaMismatch(
                f"collection {name!r} cannot be used by a service: another program created it, or "
                "it records no encoder. Choose another collection name."
            )

    def check_encoder(self) -> None:
        """Embed an image with the default library's encoder, if there is a usable library.

        Raises:
            ImgSearchError: the encoder or the store failed.
        """
        if (library := self.default()) is not None:
            library.encode(_test_image())

    def check_search(self) -> None:
        """Search the default library for an image. Without a library, list the collections.

        Raises:
            ImgSearchError: the encoder or the store failed.
        """
        try:
            if (library := self.default()) is not None:
                library.search(_test_image(), k=1)
        except CollectionNotFound:
            self.names()

    def close(self) -> None:
        """Close the libraries and the store."""
        with self._lock:
            for library in self._open.values():
                library.close()
            self._open.clear()
            self._store.close()


def _test_image() -> np.ndarray[Any, np.dtype[np.uint8]]:
    across, down = np.meshgrid(np.arange(96), np.arange(96))
    return np.stack([across * 2, down * 2, (across + down) % 256], axis=2).astype(np.uint8)
