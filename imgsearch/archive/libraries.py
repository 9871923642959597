"""The libraries of one store, each opened when it is first needed, and kept."""

import threading
from typing import Any, Final

from imgsearch import backends
from imgsearch.archive.outcomes import Stages
from imgsearch.backends import notes
from imgsearch.backends.base import check_name
from imgsearch.errors import CollectionNotFound, ConfigError, SchemaMismatch
from imgsearch.library import Library
from imgsearch.library import open as open_library

WORTH_AN_INDEX: Final = 256
"""Images; fewer are compared one by one until more come."""


class Libraries:
    """Opens a collection's library by what `imgsearch.open` takes. Thread-safe.

    `opening` (token, timeout, max_pixels) is for every collection.
    `making` (model, weights, options, index, metric) is for collections that are not there yet; of
    those that are, it tells where the weights lie.
    """

    def __init__(self, db: str, *, opening: dict[str, Any], making: dict[str, Any]) -> None:
        self._opening, self._making = opening, making
        self._store = backends.connect(db, token=opening["token"], timeout=opening["timeout"])
        self.url = self._store.url
        # it takes one call at a time, and compares rows without an index in Python: 25 µs a row
        self.embedded = self.url.startswith("milvus-lite:")
        self._open: dict[str, Library] = {}
        self._waiting: dict[str, int] = {}  # images that no index covers yet
        self._lock = threading.RLock()

    def get(self, name: str) -> Library:
        """Return the library of a collection, which the first image creates.

        Raises:
            ConfigError: the name is none.
            EncoderMismatch: the collection was made by another model.
            SchemaMismatch: another program created the collection, or it notes no encoder.
        """
        with self._lock:
            if name not in self._open:
                check_name(name)
                options = self._making
                if name in notes.collections(self._store):
                    self._store.open(name).require_encoder()
                    options = {"weights": self._making["weights"]}
                self._open[name] = open_library(
                    self.url, collection=name, **self._opening, **options
                )
            return self._open[name]

    def default(self) -> Library | None:
        """Return the library of "images", or of another collection where that is a stranger's.

        None where there is no other one.
        """
        try:
            return self.get("images")
        except SchemaMismatch:
            return next(map(self.get, self.names()), None)

    def existing(self, name: str) -> Library:
        """Return the library of a collection that is there; other names are not kept.

        Raises:
            CollectionNotFound: it is not.
            SchemaMismatch: another program created the collection, or it notes no encoder.
        """
        if name not in self._open and name not in notes.collections(self._store):
            raise CollectionNotFound(f"there is no collection {name!r} yet")
        return self.get(name)

    def names(self) -> list[str]:
        """Return the names of the collections that are there, sorted, without strangers'."""
        return [name for name in notes.collections(self._store) if not self._is_strange(name)]

    def strangers(self) -> list[str]:
        """Return the names of collections that other programs created, or that note no encoder."""
        return [name for name in notes.collections(self._store) if self._is_strange(name)]

    def index_later(self, name: str, stages: Stages) -> None:
        """Have many small additions indexed together: each by itself would cost an index."""
        with self._lock:
            waiting = self._waiting.get(name, 0) + stages.inserted - stages.indexed
            due = waiting >= WORTH_AN_INDEX
            self._waiting[name] = 0 if due or stages.indexed else waiting
        if due:
            self.get(name).collection.flush()

    def drop(self, name: str) -> None:
        """Delete a collection, if it is there."""
        with self._lock:
            library = self._open.pop(name, None)
            if library is not None:
                library.close()
            if name in self.names():
                self._store.drop(name)

    def _is_strange(self, name: str) -> bool:
        if name in self._open:
            return False
        try:
            check_name(name)
            self._store.open(name).require_encoder()
        except (ConfigError, SchemaMismatch):  # such as one with vectors that are no floats
            return True
        except CollectionNotFound:  # it was dropped meanwhile
            return False
        return False

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            for library in self._open.values():
                library.close()
            self._open.clear()
            self._store.close()
