"""Checks that a collection is still the one that was opened, at a bounded cost.

Another program may drop a collection and create one of the same name, or rebuild its index. Stores
find collections by name, so an open collection would silently return records of the new one.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from imgsearch.backends.schema import Schema
from imgsearch.errors import CollectionNotFound, SchemaMismatch

Layout = TypeVar("Layout")

SHARE: Final = 0.05  # largest fraction of time that is spent on checks


@dataclass(frozen=True, slots=True)
class Described(Generic[Layout]):
    """A store's description of a collection.

    `name` is the collection's own, never an alias. `layout` defines how it stores records.
    `indexed` is True if its index is built. `identity` differs for another collection of this name,
    and for another index.
    """

    name: str
    layout: Layout
    indexed: bool
    identity: object


class IdentityCheck:
    """Compares a collection's identity with the last accepted one. Thread-safe.

    `read` reads the identity from the store. `drops` returns how many collections this process has
    dropped there, so that its own drops are noticed at once.
    """

    def __init__(
        self, read: Callable[[], object], known: object, *, drops: Callable[[], int]
    ) -> None:
        self._read, self._known = read, known
        self._drops, self._checked_drops = drops, drops()
        self._lock = threading.Lock()
        self._due = 0.0

    def changed(self, *, now: bool) -> bool:
        """Return whether the collection differs from the last accepted one.

        Unless `now` is True, the identity is read only after twenty times the duration of the last
        check. A check takes 40 ms on a Milvus server, so a search may miss a change for 0.8 s.
        """
        drops, started = self._drops(), time.monotonic()
        if not now and drops == self._checked_drops and started < self._due:
            return False
        identity = self._read()
        ended = time.monotonic()
        with self._lock:
            if identity != self._known:
                self._due = 0.0  # check each use until the new collection is accepted
                return True
            self._due, self._checked_drops = ended + (ended - started) / SHARE, drops
            return False

    def accept(self, known: object) -> None:
        """Accept an identity, with which later checks compare."""
        with self._lock:
            self._known = known


def require_same(name: str, before: Schema, after: Schema) -> None:
    """Refuse a collection that was created again with another schema; its index may differ.

    Raises:
        SchemaMismatch: the schemas differ.
    """
    rebuilt = replace(after, index=before.index)
    if differences := before.differences(rebuilt, mine="before", theirs="now"):
        raise SchemaMismatch(
            f"collection {name!r} was replaced by another one after it was opened "
            f"({'; '.join(differences)}). Open it again, or restore the old one."
        )


def dropped_error(name: str, url: str) -> CollectionNotFound:
    """Return the error for a collection that was dropped after it was opened."""
    return CollectionNotFound(
        f"collection {name!r} is no longer in {url}: another program dropped it. Add the images "
        "again, or restore it."
    )
