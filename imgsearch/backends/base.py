"""The interface of vector stores. A store is a set of named collections.

`collection.py` has the interface of collections. A test suite checks both for every store.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

from typing_extensions import override

from imgsearch.backends.bulk import BulkImporter
from imgsearch.backends.collection import Collection
from imgsearch.backends.field_names import CollectionView, FieldNames
from imgsearch.backends.schema import FLOAT_METRICS, Metric, Schema
from imgsearch.errors import (
    BackendError,
    CollectionNotFound,
    FieldInvalid,
    IndexRefused,
    SchemaMismatch,
)
from imgsearch.fields import ZEROS, FieldType, typed
from imgsearch.types import Closeable, Fingerprint, Value


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Optional features of a store.

    `indexes` are the index kinds that the store builds. An exact-search store accepts all kinds and
    builds none. `metrics` are the metrics by which it compares. A `persistent` store keeps vectors
    after the process ends. A `shared` store can be used by several processes at the same time. A
    store that `imports` reads whole files by itself; see `VectorBackend.importer`. A store with
    `partitions` divides rows by the values of a field, or compares all of them anyway.
    """

    indexes: frozenset[str]
    persistent: bool
    shared: bool
    metrics: frozenset[Metric] = FLOAT_METRICS
    imports: bool = False
    partitions: bool = False


class VectorBackend(Closeable):
    """A store of named collections, opened by `imgsearch.backends.connect`. Thread-safe."""

    url: str
    capabilities: Capabilities
    notes: Collection | None = None  # the open notes collection; see `imgsearch.backends.notes`
    switches = 0  # changes of versions by this object; see `imgsearch.backends.versions`

    @abstractmethod
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        """Open the store at `url`, in the form returned by `imgsearch.backends.canonical`."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""

    def limits(self) -> str:
        """Return what this version of the store lacks, and which version has it; "" for nothing."""
        return ""

    def faults(self) -> dict[str, str]:
        """Return the fault of each damaged collection, by name. `names` omits these collections."""
        return {}

    @abstractmethod
    def create(self, name: str, schema: Schema) -> Collection:
        """Create a collection, or open the existing collection with this name or alias.

        Raises:
            ConfigError: the name is not an ASCII identifier of at most 64 characters.
            SchemaMismatch: the existing collection has another dimension, metric, index, fields or
                encoder, or another program created it.
            IndexRefused: the store cannot build this index with these parameters.
        """

    @abstractmethod
    def open(self, name: str) -> Collection:
        """Open an existing collection by name or alias, and make it searchable.

        Raises:
            CollectionNotFound: no collection has this name.
        """

    def require(self, schema: Schema) -> None:
        """Check that the store has the schema's metric and, if needed, partitions.

        Raises:
            IndexRefused: the store lacks one of them.
        """
        if schema.partition and not self.capabilities.partitions:
            raise IndexRefused(
                f"{self.url} has no partition fields. Create the collection without one: filters "
                f"by {schema.partition!r} work, too."
            )
        if schema.metric not in self.capabilities.metrics:
            known = ", ".join(sorted(self.capabilities.metrics))
            advice = (
                " It stores floats only: compare the same bits by cosine, which gives the same "
                "order and scores."
            )
            raise IndexRefused(
                f"{self.url} cannot compare by {schema.metric}, but by {known}."
                + (advice if schema.is_binary else "")
            )

    def open_named(self, name: str, names: FieldNames) -> Collection:
        """Open an existing collection read-only, with other field names than imgsearch's.

        Without any name in `names` this is the same as `open`.

        Raises:
            CollectionNotFound: no collection has this name.
            FieldInvalid: a field in `names` does not exist, or `names.id` is not the primary key.
            SchemaMismatch: imgsearch cannot search this vector type.
        """
        return CollectionView(self._open_named(name, names), names) if names else self.open(name)

    def _open_named(self, name: str, names: FieldNames) -> Collection:
        """Open a collection; most stores have fixed names for the key and the vector."""
        names.require_fixed(name)
        return self.open(name)

    def encoder(self, name: str) -> Fingerprint | None:
        """Return the fingerprint of a collection's encoder. Returns None if it has no fingerprint.

        On Milvus this does not load the collection into memory, unlike `open`.

        Raises:
            CollectionNotFound: no collection has this name.
            SchemaMismatch: a newer imgsearch created the collection, or another program created it
                and imgsearch cannot search it.
        """
        return self.open(name).schema.encoder

    def add_fields(self, name: str, fields: Mapping[str, FieldType]) -> Collection:
        """Declare further fields of a collection, and return the collection.

        Its records get the zero of each type, or keep an undeclared value of this type.
        Collections that are open keep their schema.

        Raises:
            CollectionNotFound: no collection has this name.
            SchemaMismatch: the collection has such a field, another program created it, or the
                store cannot add fields.
        """
        collection = self.open(name)
        collection.require_own()
        if known := sorted(fields.keys() & collection.schema.fields.keys()):
            raise SchemaMismatch(f"collection {name!r} has a field {known[0]!r} already")
        wanted = replace(collection.schema, fields={**collection.schema.fields, **fields})
        self._declare(collection, wanted)
        return self.open(name)

    def _declare(self, collection: Collection, schema: Schema) -> None:
        """Change the schema of a collection to `schema`, which has further fields.

        Raises:
            SchemaMismatch: the store cannot add fields.
        """
        fields = ", ".join(schema.fields.keys() - collection.schema.fields.keys())
        raise SchemaMismatch(
            f"collection {collection.name!r} has no field {fields}, and {self.url} cannot add one. "
            "Add the images to a new collection that declares it."
        )

    @abstractmethod
    def drop(self, name: str) -> None:
        """Delete a collection, its records and its aliases.

        Raises:
            CollectionNotFound: no collection has this name, or it is an alias.
        """

    def set_alias(self, alias: str, name: str) -> None:
        """Create an alias for a collection, or move an existing alias to it atomically.

        `open` and `create` resolve an alias when they are called; open collections do not follow a
        moved alias. `names` omits aliases. To replace a collection in use: fill a new collection,
        flush it, move the alias, and drop the old collection.

        Raises:
            ConfigError: the alias is not an ASCII identifier of at most 64 characters, or is the
                name of a collection.
            CollectionNotFound: no collection has this name.
            BackendError: the store does not support aliases.
        """
        raise BackendError(
            f"alias {alias!r} cannot be set: {self.url} does not support aliases. Open the "
            f"collection as {name!r}."
        )

    def drop_alias(self, alias: str) -> None:
        """Delete an alias; its collection is kept.

        Raises:
            CollectionNotFound: the alias does not exist.
        """
        raise CollectionNotFound(f"no alias {alias!r} in {self.url}, which supports none")

    def importer(self, collection: Collection) -> BulkImporter | None:  # noqa: ARG002 - for servers
        """Return what imports files into a collection. None if the store imports no files."""
        return None

    @abstractmethod
    def _close(self) -> None:
        """Close the driver. Called once."""

    _users = 0  # number of `connect` calls that share this object; guarded by connect's lock

    @override
    def close(self) -> None:
        """Release one `connect` call; the last release closes the store.

        Further calls have no effect.
        """
        from imgsearch.backends import release

        release(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"


def require_schema(collection: Collection, schema: Schema) -> None:
    """Check that an existing collection has the schema that was passed to `create`.

    A `schema` without an encoder matches any encoder.

    Raises:
        SchemaMismatch: the collection has another schema, or another program created it.
        EncoderRemoved: the collection has another schema, and its encoder was removed.
    """
    collection.require_own()
    wanted = schema if schema.encoder else replace(schema, encoder=collection.schema.encoder)
    if differences := collection.schema.differences(wanted):
        collection.schema.require_current_encoder()
        raise SchemaMismatch(
            f"collection {collection.name!r} exists with another schema: {'; '.join(differences)}. "
            "Choose another collection name."
        )


def filled(fields: Mapping[str, Value], schema: Schema) -> dict[str, Value]:
    """Return a record's fields with all declared ones. A value of another type becomes the zero."""
    values = {**fields}
    for name, kind in schema.fields.items():
        try:
            values |= typed({name: fields.get(name, ZEROS[kind])}, schema.fields)
        except FieldInvalid:
            values[name] = ZEROS[kind]
    return values
