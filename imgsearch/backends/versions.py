"""Versions of a collection: a name stands for the collection that is searched now.

A model change or a bulk load fills a new collection, the shadow, while searches use the current
one. `switch` makes the shadow the current collection in one write. Until the first switch a name is
the name of its collection, and no version is recorded.

Versions are recorded in the store's notes, because this works in every store and for collections
that exist already. A name has two records, with a serial number. A write replaces the older record,
so a crash during the write leaves the newer one.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from imgsearch.backends import notes
from imgsearch.backends.base import VectorBackend
from imgsearch.backends.collection import Collection
from imgsearch.backends.field_names import FieldNames
from imgsearch.backends.identity import IdentityCheck
from imgsearch.backends.schema import Schema
from imgsearch.errors import BackendError, CollectionNotFound, ConfigError, SchemaMismatch
from imgsearch.types import Fingerprint

_SLOTS: Final = ("@0", "@1")  # suffixes of the records' ids; no collection name contains "@"
_LONGEST: Final = 56  # characters of a name that a version's name keeps, of 64


@dataclass(frozen=True, slots=True)
class Versions:
    """The collections behind `name`, each as its own name in the store.

    `current` is searched and written to. `shadow` is being filled; it is "" if no collection is.
    `former` collections were current before. `settled` is False until writes that reached the last
    former collection around the switch were carried over.
    """

    name: str
    current: str
    shadow: str = ""
    former: tuple[str, ...] = ()
    settled: bool = True
    serial: int = 0

    @property
    def collections(self) -> set[str]:
        """The names of all collections behind the name."""
        return {self.current, self.shadow, *self.former} - {""}


def read(store: VectorBackend, name: str) -> Versions:
    """Return the versions of a collection; without a record, the name itself is the current one."""
    return _newest(name, notes.entries(store, _ids(name)))


def collections(store: VectorBackend) -> list[str]:
    """Return the names of a store's collections, sorted, each once and without the notes.

    A name with versions is listed if its current collection exists.
    """
    existing = store.names()
    if notes.NAME not in existing:
        return existing
    listed = set(existing) - {notes.NAME}
    entries = notes.entries(store)
    names = {id_[: -len(slot)] for id_ in entries for slot in _SLOTS if id_.endswith(slot)}
    recorded = [_newest(name, entries) for name in names]
    for versions in recorded:
        listed -= versions.collections
    listed |= {versions.name for versions in recorded if versions.current in existing}
    return sorted(listed)


def open_named(store: VectorBackend, name: str, names: FieldNames = FieldNames()) -> Collection:  # noqa: B008 - frozen
    """Open the current collection behind a name; `names` are as for `VectorBackend.open_named`.

    Raises: as for `VectorBackend.open_named`.
    """
    return store.open_named(read(store, name).current, names)


def create(store: VectorBackend, name: str, schema: Schema) -> Collection:
    """Create a collection, or open the current collection behind the name.

    Raises: as for `VectorBackend.create`.
    """
    return store.create(read(store, name).current, schema)


def encoder(store: VectorBackend, name: str) -> Fingerprint | None:
    """Return the encoder of the current collection behind a name.

    Raises: as for `VectorBackend.encoder`.
    """
    return store.encoder(read(store, name).current)


def drop(store: VectorBackend, name: str) -> None:
    """Delete a collection with all its versions. A crash in between leaves no former one behind.

    Raises:
        CollectionNotFound: no collection has this name.
    """
    versions = read(store, name)
    for other in sorted(versions.collections - {versions.current}):
        with suppress(CollectionNotFound):
            store.drop(other)
    store.drop(versions.current)
    if versions.serial:
        notes.remove_entries(store, _ids(name))


def begin(store: VectorBackend, name: str, schema: Schema, *, fresh: bool = False) -> Collection:
    """Return the shadow of a collection, to be filled. It is created unless it exists already.

    A former collection with this schema becomes the shadow, so the way back is short. With `fresh`
    a new shadow is empty; and the name may be new, or an alias of the current collection.

    Raises:
        ConfigError: the name is an alias.
        CollectionNotFound: no collection has this name.
        SchemaMismatch: a shadow with another schema exists; see `discard`.
    """
    versions = read(store, name)
    if fresh:
        versions = replace(versions, current=_real(store, versions.current))
    elif (real := store.open(versions.current).name) != versions.current:
        raise ConfigError(
            f"{name!r} is an alias of collection {real!r}, which has no versions of its own. Use "
            "the collection's name."
        )
    if not versions.shadow:
        known = "" if fresh else _former_with(store, versions, schema)
        shadow = known or _free_name(store, name)
        former = tuple(other for other in versions.former if other != shadow)
        if shadow in versions.former:  # its logs describe the images that it had then
            logs = [id_ for id_ in notes.entries(store) if id_.startswith(f"{shadow}/")]
            notes.remove_entries(store, logs)
        versions = _write(store, replace(versions, shadow=shadow, former=former))
    return store.create(versions.shadow, schema)


def shadow(store: VectorBackend, name: str) -> Collection | None:
    """Return the collection that is being filled for a name, or None."""
    if not (being_filled := read(store, name).shadow):
        return None
    try:
        return store.open(being_filled)
    except CollectionNotFound:  # a crash came before its creation
        return None


def switch(store: VectorBackend, name: str, *, settled: bool = False) -> Versions:
    """Make the shadow the current collection, and the current one a former one, in one write.

    The shadow must be flushed. Call `settle` once late writes were carried over; `settled` says
    that there are none. A name that was new has no former collection.

    Raises:
        ConfigError: there is no shadow.
    """
    versions = read(store, name)
    if not versions.shadow:
        raise ConfigError(f"collection {name!r} has no version to switch to. Fill one first.")
    former = (versions.current,) if _exists(store, versions.current) else ()
    return _write(
        store,
        replace(
            versions,
            current=versions.shadow,
            shadow="",
            former=(*versions.former, *former),
            settled=settled,
        ),
    )


def publish(store: VectorBackend, name: str) -> None:
    """Make a name an alias of its current collection, so that other programs find the collection.

    A name that a collection has, and a store without aliases, stay as they are.
    """
    current = read(store, name).current
    if current != name and name not in store.names():
        with suppress(BackendError):
            store.set_alias(name, current)


def settle(store: VectorBackend, name: str) -> None:
    """Record that late writes were carried over from the last former collection."""
    versions = read(store, name)
    if not versions.settled:
        _write(store, replace(versions, settled=True))


def discard(store: VectorBackend, name: str) -> bool:
    """Delete the shadow of a collection. Returns whether there was one."""
    versions = read(store, name)
    if versions.shadow:
        with suppress(CollectionNotFound):
            store.drop(versions.shadow)
        _write(store, replace(versions, shadow=""))
    return bool(versions.shadow)


def drop_former(store: VectorBackend, name: str) -> int:
    """Delete the former collections behind a name, and return their number.

    If the name is then free, it becomes an alias of the current collection, so that other programs
    find the collection by its name. A store without aliases leaves it free.
    """
    versions = read(store, name)
    dropped = 0
    for former in versions.former:
        with suppress(CollectionNotFound):
            store.drop(former)
            dropped += 1
    if versions.former:
        _write(store, replace(versions, former=(), settled=True))
    publish(store, name)
    return dropped


class Watch:
    """Notices that a name has another current collection. Thread-safe.

    A switch by this process is noticed at the next call. A switch by another process is noticed
    after at most 20 times the duration of a check, so that checks take 5 % of the time.
    """

    def __init__(self, store: VectorBackend, name: str) -> None:
        self._store, self._name = store, name
        self._switches = store.switches
        self.current = self._read()
        self._check = IdentityCheck(self._read, self.current, drops=lambda: store.switches)

    def moved(self, *, now: bool = False) -> bool:
        """Return whether `current` has changed since the last call; `now` asks the store.

        A store that one process uses at a time is asked only after a switch by this process.
        """
        if not self._store.capabilities.shared:
            if self._switches == self._store.switches:
                return False
            self._switches = self._store.switches
        if not self._check.changed(now=now):
            return False
        current = self._read()
        moved, self.current = current != self.current, current
        self._check.accept(current)
        return moved

    def _read(self) -> str:
        return read(self._store, self._name).current


def _ids(name: str) -> list[str]:
    return [name + slot for slot in _SLOTS]


def _newest(name: str, entries: Mapping[str, Any]) -> Versions:
    records = [_parsed(name, entries.get(name + slot)) for slot in _SLOTS]
    return max(records, key=lambda versions: versions.serial)


def _parsed(name: str, entry: Any) -> Versions:
    """Return the versions in a record; serial 0 if the record is missing or damaged."""
    try:
        return Versions(
            name,
            str(entry["current"]),
            str(entry["shadow"]),
            tuple(map(str, entry["former"])),
            bool(entry["settled"]),
            int(entry["serial"]),
        )
    except (KeyError, TypeError, ValueError):
        return Versions(name, name)


def _write(store: VectorBackend, versions: Versions) -> Versions:
    """Write the versions with the next serial number, over the older record."""
    written = replace(versions, serial=versions.serial + 1)
    slot = _SLOTS[written.serial % len(_SLOTS)]
    notes.put_entry(
        store,
        versions.name + slot,
        {
            "current": written.current,
            "shadow": written.shadow,
            "former": list(written.former),
            "settled": written.settled,
            "serial": written.serial,
        },
    )
    store.switches += 1
    return written


def _former_with(store: VectorBackend, versions: Versions, schema: Schema) -> str:
    """Return the latest former collection with this schema, or ""."""
    for former in reversed(versions.former):
        with suppress(CollectionNotFound, SchemaMismatch):
            if not store.open(former).schema.differences(schema):
                return former
    return ""


def _real(store: VectorBackend, name: str) -> str:
    """Return the name of the collection that a name or an alias stands for; a new name itself."""
    try:
        return store.open(name).name
    except CollectionNotFound:
        return name


def _exists(store: VectorBackend, name: str) -> bool:
    """Return whether a collection or an alias has this name; another program may have made it."""
    try:
        store.encoder(name)
    except CollectionNotFound:
        return False
    except SchemaMismatch:
        pass
    return True


def _free_name(store: VectorBackend, name: str) -> str:
    """Return an unused name for a new version: neither a collection nor an alias has it."""
    number = 2
    while True:
        candidate = f"{name[:_LONGEST]}_v{number}"
        if not _exists(store, candidate):
            return candidate
        number += 1
