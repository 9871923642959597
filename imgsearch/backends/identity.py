"""Whether a collection is still the one that was opened, checked at a bounded cost.

Another program may drop a collection and create one of the same name, or rebuild its index. The
stores find collections by name, so an open one would answer from the new one without a word.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from imgsearch.backends.schema import Schema
from imgsearch.errors import CollectionNotFound, SchemaMismatch

SHARE: Final = 0.05  # of the time between two checks is spent on one of them, at most


class Identity:
    """What a store says a collection is, compared with what it said before. Thread-safe.

    `read` asks the store; equal answers stand for the same collection with the same index.
    `drops` returns how many collections this process dropped there, so its own are seen at once.
    """

    def __init__(
        self, read: Callable[[], object], known: object, *, drops: Callable[[], int]
    ) -> None:
        self._read, self._known = read, known
        self._drops_now, self._drops = drops, drops()
        self._lock = threading.Lock()
        self._due = 0.0

    def changed(self, *, now: bool) -> bool:
        """Return whether the collection is another one than the one accepted last.

        Without `now` the store is asked only if the last check was twenty times as long ago as
        it took, which was 40 ms on a Milvus server: a search may miss a change by that time.
        """
        drops, started = self._drops_now(), time.monotonic()
        if not now and drops == self._drops and started < self._due:
            return False
        found = self._read()
        ended = time.monotonic()
        with self._lock:
            if found != self._known:
                self._due = 0.0  # until the new one is accepted, each use is checked
                return True
            self._due, self._drops = ended + (ended - started) / SHARE, drops
            return False

    def accept(self, known: object) -> None:
        """Take what the store says now for the collection that is meant."""
        with self._lock:
            self._known = known


def adopted(name: str, before: Schema, after: Schema) -> Schema:
    """Return the schema to go on with, where a collection was created again or its index rebuilt.

    Raises:
        SchemaMismatch: it holds something else now; another index is fine.
    """
    pairs: list[tuple[str, object, object]] = [
        ("dimension", before.dim, after.dim),
        ("metric", before.metric, after.metric),
        ("fields", dict(before.fields), dict(after.fields)),
    ]
    if before.encoder and after.encoder:
        parts = after.encoder.identity()
        pairs += [
            (f"encoder's {part}", value, parts[part])
            for part, value in before.encoder.identity().items()
        ]
    else:
        pairs.append(("encoder", _model(before), _model(after)))
    differences = [f"{what}: {new} now, {old} before" for what, old, new in pairs if old != new]
    if differences:
        raise SchemaMismatch(
            f"collection {name!r} is another one than when it was opened "
            f"({'; '.join(differences)}). Open it again, or restore the old one."
        )
    return after


def _model(schema: Schema) -> str:
    return schema.encoder.model if schema.encoder else "none noted"


def dropped(name: str, url: str) -> CollectionNotFound:
    """Return the error for a collection that was there when it was opened."""
    return CollectionNotFound(
        f"collection {name!r} is no longer in {url}: another program dropped it. Add the images "
        "again, or restore it."
    )
