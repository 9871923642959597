"""The contract of a vector store: a set of named collections, opened by `connect`.

The contract of a collection is in `collection.py`; a test suite checks both for every store.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace

from typing_extensions import override

from imgsearch.backends.collection import Collection
from imgsearch.backends.field_names import CollectionView, FieldNames
from imgsearch.backends.schema import Schema
from imgsearch.errors import BackendError, CollectionNotFound, SchemaMismatch
from imgsearch.types import Closeable, Fingerprint


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Abilities of a store beyond the contract.

    `indexes` are the kinds that it builds; a store of exact search accepts all and needs none. In
    a `persistent` store vectors outlive the process. Several processes may use a `shared` store at
    the same time. With `prefix` filters may compare the beginning of a text.
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
        """Open the store at `url`, spelled as `imgsearch.backends.canonical` returns it."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""

    def faults(self) -> dict[str, str]:
        """Return the fault of each damaged collection, by name; `names` omits them."""
        return {}

    @abstractmethod
    def create(self, name: str, schema: Schema) -> Collection:
        """Create a collection, or open an existing one with this schema, by its name or an alias.

        Raises:
            ConfigError: the name is not an ASCII identifier of at most 64 letters.
            SchemaMismatch: it exists with another dimension, metric, index, fields or encoder, or
                another program created it.
            IndexRefused: the store cannot build this index with these parameters.
        """

    @abstractmethod
    def open(self, name: str) -> Collection:
        """Open an existing collection by its name or an alias, ready to be searched.

        Raises:
            CollectionNotFound: no collection has this name.
        """

    def open_named(self, name: str, names: FieldNames) -> Collection:
        """Open an existing collection read-only, with fields of other names.

        Empty `names` are the same as `open`.

        Raises:
            CollectionNotFound: no collection has this name.
            FieldInvalid: a field of `names` does not exist, or the primary key has another name.
            SchemaMismatch: imgsearch cannot search this kind of vector.
        """
        return CollectionView(self._open_named(name, names), names) if names else self.open(name)

    def _open_named(self, name: str, names: FieldNames) -> Collection:
        """Open a collection by its key and vector fields, whose names most stores fix."""
        names.require_fixed(name)
        return self.open(name)

    def encoder(self, name: str) -> Fingerprint | None:
        """Return the fingerprint of a collection's encoder, None for collections without one.

        Unlike `open` it does not load the collection into a server's memory.

        Raises:
            CollectionNotFound: no collection has this name.
            SchemaMismatch: a newer imgsearch created it, or it is foreign and cannot be searched.
        """
        return self.open(name).schema.encoder

    @abstractmethod
    def drop(self, name: str) -> None:
        """Delete a collection, its records and its aliases.

        Raises:
            CollectionNotFound: no collection has this name; aliases do not count.
        """

    def set_alias(self, alias: str, name: str) -> None:
        """Create an alias of a collection, or move an existing alias to it atomically.

        `open` and `create` resolve an alias when they are called; open collections do not follow a
        moved alias. `names` omits aliases. To replace a collection in use: fill a new one, flush
        it, move the alias, drop the old one.

        Raises:
            ConfigError: the alias is not an ASCII identifier of at most 64 letters, or is the name
                of a collection.
            CollectionNotFound: no collection has this name.
            BackendError: the store does not support aliases.
        """
        raise BackendError(
            f"alias {alias!r} cannot be set: {self.url} does not support aliases. Open the "
            f"collection as {name!r}."
        )

    def drop_alias(self, alias: str) -> None:
        """Delete an alias; its collection stays.

        Raises:
            CollectionNotFound: the alias does not exist.
        """
        raise CollectionNotFound(f"no alias {alias!r} in {self.url}, which supports none")

    @abstractmethod
    def _close(self) -> None:
        """Close the driver; called once."""

    _users = 0  # how many `connect` calls share this object; guarded by connect's lock

    @override
    def close(self) -> None:
        """Release the store, once for each `connect`; the last call closes it. Idempotent."""
        from imgsearch.backends import release

        release(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"


def require_schema(collection: Collection, schema: Schema) -> None:
    """Refuse an existing collection with another schema than `create` was given.

    A `schema` without an encoder matches a collection of any encoder.

    Raises:
        SchemaMismatch: the collection has another schema, or another program created it.
        EncoderRemoved: its schema differs, and its encoder was removed.
    """
    collection.require_own()
    wanted = schema if schema.encoder else replace(schema, encoder=collection.schema.encoder)
    if differences := collection.schema.differences(wanted):
        collection.schema.require_current_encoder()
        raise SchemaMismatch(
            f"collection {collection.name!r} exists with another schema: {'; '.join(differences)}. "
            "Choose another collection name."
        )
