"""Detects whether another program replaced an open collection, at a bounded cost.

Another program may drop a collection and create one with the same name, or rebuild its index.
Stores find collections by name, so an open collection would silently return the new records.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from imgsearch.backends.schema import Schema
from imgsearch.errors import CollectionNotFound, SchemaMismatch

Layout = TypeVar("Layout")

SHARE: Final = 0.05  # maximum fraction of the time that is spent on checks


@dataclass(frozen=True, slots=True)
class Described(Generic[Layout]):
    """A store's description of a collection.

    `name` is the collection's name, never an alias. `layout` defines how records are stored.
    `indexed` is True if the index is built. `identity` changes if another collection gets this
    name, or if the index changes.
    """

    name: str
    layout: Layout
    indexed: bool
    identity: object


class IdentityCheck:
    """Compares a collection's identity with the last accepted identity. Thread-safe.

    `read` reads the identity from the store. `drops` returns how many collections this process
    dropped in the store, so that its own drops are noticed immediately. If identities are tuples,
    `owner` may read the first item alone, at a lower cost: it says whether it is the same
    collection.
    """

    def __init__(
        self,
        read: Callable[[], object],
        known: object,
        *,
        drops: Callable[[], int],
        owner: Callable[[], object] | None = None,
    ) -> None:
        self._read, self._known, self._owner = read, known, owner
        self._drops, self._checked_drops = drops, drops()
        self._lock = threading.Lock()
        self._due = 0.0

    def changed(self, *, now: bool) -> bool:
        """Return whether the identity differs from the last accepted identity.

        The whole identity is read again only after 20 times the duration of the last check. A check
        takes 40 ms on a busy Milvus server, so a change may be missed for 0.8 s. If `now` is True,
        at least the owner is read.
        """
        drops, started = self._drops(), time.monotonic()
        if drops == self._checked_drops and started < self._due:
            if not now:
                return False
            if self._owner is not None and self._is_owner(self._owner()):
                return False
        identity = self._read()
        ended = time.monotonic()
        with self._lock:
            if identity != self._known:
                self._due = 0.0  # check at each use until the new identity is accepted
                return True
            self._due, self._checked_drops = ended + (ended - started) / SHARE, drops
            return False

    def _is_owner(self, owner: object) -> bool:
        with self._lock:
            return isinstance(self._known, tuple) and self._known[0] == owner

    def accept(self, known: object) -> None:
        """Set the identity that later checks compare with."""
        with self._lock:
            self._known = known


def require_same(name: str, before: Schema, after: Schema) -> None:
    """Check that a collection that was created again has the same schema, except for the index.

    Further fields may have been added to it.

    Raises:
        SchemaMismatch: the schemas differ.
    """
    kept = {name: kind for name, kind in after.fields.items() if name in before.fields}
    rebuilt = replace(after, index=before.index, fields=kept)
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
