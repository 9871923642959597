"""The contract of a vector store: a set of named collections, opened by `connect`.

What a collection does stands in `collection.py`; both are proven by tests/backends/.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace

from typing_extensions import override

from imgsearch.backends.collection import Collection
from imgsearch.backends.field_names import CollectionView, FieldNames
from imgsearch.backends.schema import Schema
from imgsearch.closeable import Closeable
from imgsearch.errors import BackendError, CollectionNotFound, SchemaMismatch
from imgsearch.types import Fingerprint


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do beyond the contract.

    `indexes` are those that it really builds (a store of exact search takes the others too, and
    needs none); `persistent`: vectors outlive the process; `shared`: other processes may use the
    store at the same time; `prefix`: filters may ask how a text begins.
    """

    indexes: frozenset[str]
    persistent: bool
    shared: bool
    prefix: bool = True


class VectorBackend(Closeable):
    """A store of named collections, opened by `imgsearch.backends.connect`. Thread-safe."""

    url: str
    capabilities: Capabilities

    @abstractmethod
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        """Open the store at `url`, in its one spelling (`imgsearch.backends.canonical`)."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""

    def faults(self) -> dict[str, str]:
        """Return the fault of each damaged collection, by name; `names` leaves them out."""
        return {}

    @abstractmethod
    def create(self, name: str, schema: Schema) -> Collection:
        """Create a collection, or open the one that exists, also as an alias, with this schema.

        Raises:
            ConfigError: the name is no ASCII identifier of at most 64 letters.
            SchemaMismatch: it exists with another dimension, metric, index, fields or encoder, or
                another program created it.
            IndexRefused: the store cannot build this index with these parameters.
        """

    @abstractmethod
    def open(self, name: str) -> Collection:
        """Open an existing collection by its name or an alias, ready to be searched.

        Raises:
            CollectionNotFound: there is none of this name.
        """

    def open_named(self, name: str, names: FieldNames) -> Collection:
        """Open an existing collection, read-only by the field names that it uses.

        Empty `names` open it as `open` does.

        Raises:
            CollectionNotFound: no collection has this name.
            FieldInvalid: a field of `names` does not exist, or the primary key is another one.
            SchemaMismatch: imgsearch cannot search this kind of vector.
        """
        return CollectionView(self._open_named(name, names), names) if names else self.open(name)

    def _open_named(self, name: str, names: FieldNames) -> Collection:
        """Open a collection by its key and vector fields, whose names most stores fix."""
        names.require_fixed(name)
        return self.open(name)

    def encoder(self, name: str) -> Fingerprint | None:
        """Return a collection's fingerprint of its encoder; None without one, as for foreign ones.

        Unlike `open` it does not load the collection into a server's memory.

        Raises:
            CollectionNotFound: no collection has this name.
            SchemaMismatch: a newer imgsearch created it, or it is foreign and cannot be searched.
        """
        return self.open(name).schema.encoder

    @abstractmethod
    def drop(self, name: str) -> None:
        """Delete a collection, all that is in it, and its aliases.

        Raises:
            CollectionNotFound: there is none of this name; an alias is none.
        """

    def set_alias(self, alias: str, name: str) -> None:
        """Give a collection another name, or move that name to it from another, in one step.

        `open` and `create` take an alias for the collection that it stands for just then; what was
        opened through it before stays what it was. `names` lists no aliases. To replace a
        collection under its readers: fill a new one, flush it, move the alias, drop the old one.

        Raises:
            ConfigError: the alias is no ASCII identifier of at most 64 letters, or a collection's
                name.
            CollectionNotFound: there is no collection of this name.
            BackendError: the store has no aliases.
        """
        raise BackendError(f"{self.url} has no aliases; open {name!r} by its name, not {alias!r}")

    def drop_alias(self, alias: str) -> None:
        """Forget an alias; the collection stays.

        Raises:
            CollectionNotFound: there is no such alias.
        """
        raise CollectionNotFound(f"no alias {alias!r} in {self.url}, which has none at all")

    @abstractmethod
    def _close(self) -> None:
        """Let go of the driver; called once."""

    _users = 0  # how many `connect` calls share this object; guarded by connect's lock

    @override
    def close(self) -> None:
        """Let go of the store, once for each `connect` that returned it; the last one closes it."""
        from imgsearch.backends import release

        release(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"


def require_schema(collection: Collection, schema: Schema) -> None:
    """Refuse an existing collection that does not have the schema that `create` was given.

    Without an encoder, `schema` matches a collection of any encoder.

    Raises:
        SchemaMismatch: the collection has another schema, or another program created it.
        EncoderRemoved: its schema differs, and its encoder was removed.
    """
    collection.require_own()
    wanted = schema if schema.encoder else replace(schema, encoder=collection.schema.encoder)
    if differences := collection.schema.differences(wanted):
        collection.schema.require_current_encoder()
        raise SchemaMismatch(f"collection {collection.name!r} exists; {'; '.join(differences)}")
