"""The Milvus backend: an embedded store (milvus-lite) or a server, through `MilvusClient`."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from pymilvus import DataType, MilvusClient, MilvusException
from pymilvus.exceptions import AmbiguousIndexName
from typing_extensions import override

from imgsearch.backends.base import Capabilities, VectorBackend, filled, require_schema
from imgsearch.backends.bulk import BulkImporter
from imgsearch.backends.checks import MAX_ID, MAX_TEXT
from imgsearch.backends.collection import Collection
from imgsearch.backends.field_names import FieldNames
from imgsearch.backends.identity import Described
from imgsearch.backends.milvus import folder as milvus_folder
from imgsearch.backends.milvus import full_text, messages
from imgsearch.backends.milvus.bulk import importer
from imgsearch.backends.milvus.collection import ROWS, MilvusCollection
from imgsearch.backends.milvus.connection import Connection
from imgsearch.backends.milvus.embedded import is_of_disk
from imgsearch.backends.milvus.errors import text_of
from imgsearch.backends.milvus.indexes import (
    LITE,
    SERVER,
    build_params,
    check_dimension,
    limits,
    needs_version,
    require_partitions,
    require_version,
)
from imgsearch.backends.milvus.layout import Layout
from imgsearch.backends.milvus.schema import (
    BINARY,
    COLUMNS,
    PROPERTY,
    check_index,
    described,
    index_type,
    searched_vector,
)
from imgsearch.backends.schema import FLOAT_METRICS, METRICS, Schema
from imgsearch.errors import (
    BackendUnavailable,
    CollectionNotFound,
    ConfigError,
    IndexRefused,
)
from imgsearch.types import Fingerprint, Record, check_name

_log = logging.getLogger(__name__)


class Backend(VectorBackend):
    """The collections of an embedded store or of one server database."""

    @override
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        self.url = url
        self.connection = Connection(url, token=token, timeout=timeout)
        self._timeout = self.connection.timeout
        # not a value, so that no repr shows it
        self._token: Callable[[], str | None] = lambda: token
        server = self.connection.path is None
        self.capabilities = Capabilities(
            SERVER if server else LITE,
            persistent=True,
            shared=server,
            metrics=frozenset(METRICS) if server else FLOAT_METRICS,  # lite 3.2.2 has no bits
            imports=server,
            partitions=True,
        )
        self._has_partitions = False  # not known yet
        self.drops = 0  # collections that this object dropped

    @override
    def names(self) -> list[str]:
        with self.calling() as client:
            if folder := self.connection.folder:  # lite fails to list any if one is damaged
                return milvus_folder.names(folder)
            return sorted(client.list_collections(timeout=self._timeout))

    @override
    def limits(self) -> str:
        if self.connection.path is not None:
            return ""
        with self.calling() as client:
            return limits(self._version(client))

    @override
    def faults(self) -> dict[str, str]:
        folder = self.connection.folder
        return milvus_folder.faults(folder) if folder else {}

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        check_name(name)
        with self.calling() as client:
            if not self._exists(client, name):
                self._create(client, name, schema)
            collection = self.open(name)
        require_schema(collection, schema)
        return collection

    @override
    def open(self, name: str) -> Collection:
        return self._open_named(name, FieldNames())

    @override
    def _open_named(self, name: str, names: FieldNames) -> Collection:
        with self.calling():
            if not self._is_whole(name):
                raise self._missing(name)
            try:
                return MilvusCollection(self, self.prepared(name, names), names)
            except CollectionNotFound as error:
                raise self._missing(name) from error

    @override
    def encoder(self, name: str) -> Fingerprint | None:
        with self.calling() as client:
            self._require(client, name)
            return self.described(name, FieldNames()).layout.schema.encoder

    @override
    def _declare(self, collection: Collection, schema: Schema) -> None:
        """Add fields as dynamic ones, because Milvus adds columns from 2.6 on only.

        Rows get the zeros first, so that a crash leaves undeclared fields, which harm nothing.
        """
        self.connection.check_writable()
        records = collection.iterate()
        while batch := list(islice(records, ROWS)):
            collection.upsert(replace(row, fields=filled(row.fields, schema)) for row in batch)
        with self.calling() as client:
            text = {PROPERTY: schema.to_json()}
            client.alter_collection_properties(collection.name, text, timeout=self._timeout)

    @override
    def drop(self, name: str) -> None:
        self.connection.check_writable()
        with self.calling() as client:
            self._require(client, name)
            if (real := self._real(client, name)) != name:  # lite would drop the collection
                raise CollectionNotFound(
                    f"collection {name!r} cannot be dropped: it is an alias of {real!r}. Use "
                    "drop_alias."
                )
            # Milvus 2.3.5 would keep its aliases, and reserve their names
            for alias in self._aliases(client, name):
                client.drop_alias(alias, timeout=self._timeout)
            client.drop_collection(name, timeout=self._timeout)
            self.drops += 1

    @override
    def set_alias(self, alias: str, name: str) -> None:
        check_name(alias)
        self.connection.check_writable()
        with self.calling() as client:
            self._require(client, name)
            if alias in self.names():
                raise ConfigError(f"alias {alias!r} is a collection's name. Choose another one.")
            known = alias in client.list_aliases(timeout=self._timeout)["aliases"]
            put = client.alter_alias if known else client.create_alias
            put(self._real(client, name), alias, timeout=self._timeout)

    @override
    def drop_alias(self, alias: str) -> None:
        self.connection.check_writable()
        with self.calling() as client:
            if alias not in self._aliases(client):
                raise CollectionNotFound(f"no alias {alias!r} in {self.url}")
            client.drop_alias(alias, timeout=self._timeout)

    @override
    def importer(self, collection: Collection) -> BulkImporter | None:
        if self.connection.path is not None:
            return None
        with self.calling() as client:
            version = self._version(client)
        words = self.described(collection.name, FieldNames()).layout.has_words
        return importer(self.connection, collection.name, self._token(), version, has_words=words)

    @override
    def _close(self) -> None:
        self.connection.close()

    def calling(self) -> AbstractContextManager[MilvusClient]:
        """Return a context manager that yields the client and translates driver errors.

        See `Connection.calling`.
        """
        return self.connection.calling()

    def described(self, name: str, names: FieldNames) -> Described[Layout]:
        """Return the description of a collection, by name or alias.

        Raises:
            SchemaMismatch: imgsearch cannot use the collection.
            FieldInvalid: a field in `names` does not exist.
        """
        with self.calling() as client:
            description = client.describe_collection(name, timeout=self._timeout)
            real = str(description["collection_name"])
            index = self.index(real, searched_vector(description, names))
            folder = self.connection.folder
            files = milvus_folder.identity(folder, real) if folder else None
            return described(description, index, names, files)

    def owner(self, name: str) -> object:
        """Return the first item of a collection's identity on a server, by one request."""
        with self.calling() as client:
            return client.describe_collection(name, timeout=self._timeout)["collection_id"]

    def identity(self, name: str, names: FieldNames) -> object:
        """Return a collection's identity; see `Described`."""
        if folder := self.connection.folder:
            return milvus_folder.identity(folder, name)
        return self.described(name, names).identity

    def write(self, name: str, layout: Layout, records: Sequence[Record]) -> None:
        """Write checked records to a collection, in one message.

        Raises:
            FieldInvalid: another program's collection cannot store an id or an undeclared field.
        """
        with self.calling() as client:
            server = self.connection.path is None
            if server and layout.ours and messages.is_supported(client):
                messages.upsert(client, name, layout, records, timeout=self._timeout)
                return
            # Lite's upsert keeps old fields that the new row lacks; its insert replaces the row.
            # A server's insert would keep both rows.
            put = client.upsert if server else client.insert
            put(name, [layout.row(record) for record in records], timeout=self._timeout)

    def prepared(self, name: str, names: FieldNames) -> Described[Layout]:
        """Build a collection's index if it is missing, load the collection, and describe it.

        Raises:
            SchemaMismatch: imgsearch cannot use the collection.
            FieldInvalid: a field in `names` does not exist.
        """
        with self.calling() as client:
            collection = self.described(name, names)
            if not collection.indexed:  # `create` crashed, or another program dropped the index
                layout = collection.layout
                words = layout.has_words
                self._build(client, collection.name, layout.schema, with_words=words)
                collection = self.described(name, names)
            if collection.layout.ours:
                self._load(client, collection.name, collection.layout.schema)
            else:
                client.load_collection(collection.name, timeout=self.connection.long)
            return collection

    def index(self, name: str, vector: str = "vector") -> Mapping[str, Any] | None:
        """Return Milvus' description of a vector field's index. Returns None without an index."""
        with self.calling() as client:
            try:
                indexes = [client.describe_index(name, "", timeout=self._timeout)]  # the only one
            except AmbiguousIndexName:
                indexes = [
                    client.describe_index(name, index_name, timeout=self._timeout)
                    for index_name in client.list_indexes(name)
                ]
        for index in filter(None, indexes):
            if index.get("field_name") == vector and "metric_type" in index:
                return dict(index)
        return None

    def refresh(self, name: str, schema: Schema) -> None:
        """Write all rows to disk, and wait until they are indexed and loaded."""
        if self.connection.read_only:
            return
        with self.calling() as client:
            if self.connection.path is None:
                client.flush(name, timeout=self.connection.long)
                self._await_index(name)
                return
            # Lite offers no way to wait for its indexing thread; loading indexes new rows, too
            client.release_collection(name, timeout=self.connection.long)
            try:
                client.flush(name, timeout=self.connection.long)
            finally:
                self._load(client, name, schema)

    def _require(self, client: MilvusClient, name: str) -> None:
        """Check that a collection or alias with this name exists.

        Raises:
            CollectionNotFound: the name does not exist.
            SchemaMismatch: the collection is damaged.
        """
        if not self._exists(client, name):
            raise self._missing(name)

    def _missing(self, name: str) -> CollectionNotFound:
        return CollectionNotFound(f"no collection {name!r} in {self.url}")

    def _exists(self, client: MilvusClient, name: str) -> bool:
        return self._is_whole(name) and bool(client.has_collection(name, timeout=self._timeout))

    def _is_whole(self, name: str) -> bool:
        """Return whether a collection has its files, if it exists; always true for servers."""
        folder = self.connection.folder
        return not folder or milvus_folder.is_whole(folder, name, store=self.connection.path)

    def require_partitions(self) -> None:
        """Check that upserts put rows into the right part; see `indexes.require_partitions`."""
        if self.connection.path is None and not self._has_partitions:
            with self.calling() as client:
                require_partitions(self.url, self._version(client))
            self._has_partitions = True

    def _version(self, client: MilvusClient) -> str:
        return str(client.get_server_version(timeout=self._timeout))

    def _aliases(self, client: MilvusClient, name: str = "") -> list[str]:
        """Return the aliases of a collection, or without a name all aliases of the database."""
        # without db_name Milvus 2.3.5 uses the default database
        database = self.connection.database
        return list(client.list_aliases(name, timeout=self._timeout, db_name=database)["aliases"])

    def _real(self, client: MilvusClient, name: str) -> str:
        """Return the collection name for a name or alias."""
        return str(client.describe_collection(name, timeout=self._timeout)["collection_name"])

    def _create(self, client: MilvusClient, name: str, schema: Schema) -> None:
        self.require(schema)
        built = BINARY if schema.is_binary else self.capabilities.indexes
        if schema.index.kind not in built:
            kinds = ", ".join(sorted(built))
            by = f" by {schema.metric}" if schema.is_binary else ""
            raise IndexRefused(
                f"{self.url} cannot build {schema.index.kind}{by}. Use one of {kinds}."
            )
        check_dimension(schema.index, schema.dim)
        if needs_version(schema.index.kind):
            require_version(self.url, schema.index, self._version(client))
        if schema.partition:
            self.require_partitions()
        self.connection.check_writable()
        if folder := self.connection.folder:
            milvus_folder.free_name(folder, name)
        if self.connection.has_full_text:
            try:
                self._create_columns(client, name, schema, with_words=True)
            except (MilvusException, IndexRefused) as error:
                _log.warning(
                    "%s: collection %r has no full-text search, which the server refused: %s",
                    self.url, name, text_of(error),
                )  # fmt: skip
            else:
                return
        self._create_columns(client, name, schema)

    def _create_columns(
        self, client: MilvusClient, name: str, schema: Schema, *, with_words: bool = False
    ) -> None:
        text = schema.to_json()
        columns = client.create_schema(enable_dynamic_field=True, description=text)
        columns.add_field("id", DataType.VARCHAR, is_primary=True, max_length=MAX_ID)
        vector = DataType.BINARY_VECTOR if schema.is_binary else DataType.FLOAT_VECTOR
        columns.add_field("vector", vector, dim=schema.dim)
        for field, kind in schema.fields.items():
            extra = {"max_length": MAX_TEXT} if kind == "str" else {}
            divides = field == schema.partition
            columns.add_field(field, DataType[COLUMNS[kind]], is_partition_key=divides, **extra)
        if with_words:
            full_text.add_columns(columns)
        client.create_collection(
            name,
            schema=columns,
            consistency_level="Session",
            properties={PROPERTY: text},
            timeout=self._timeout,
        )
        try:
            self._build(client, name, schema, with_words=with_words)
        except (MilvusException, IndexRefused) as error:
            with suppress(MilvusException):
                client.drop_collection(name, timeout=self._timeout)
            if self.connection.path and is_of_disk(str(error)):
                raise
            raise IndexRefused(
                f"{self.url} cannot build {schema.index}: {text_of(error)}"
            ) from error

    def _build(
        self, client: MilvusClient, name: str, schema: Schema, *, with_words: bool = False
    ) -> None:
        build = build_params(schema.index)
        params = client.prepare_index_params()
        params.add_index(
            "vector",
            index_type=index_type(schema),
            metric_type=schema.metric.upper(),
            # flat and nested, because lite ignores the parameters that pymilvus flattens
            params={**build, "params": build} if build else {},
        )
        if with_words and full_text.SPARSE not in client.list_indexes(name):
            full_text.add_index(params)
        # sync=True would sleep for at least 0.5 s and ignore the timeout (pymilvus 3.0.2)
        client.create_index(name, params, timeout=self.connection.long, sync=False)
        check_index(self.index(name) or {}, schema)

    def _load(self, client: MilvusClient, name: str, schema: Schema) -> None:
        try:
            client.load_collection(name, timeout=self.connection.long)
        except MilvusException:
            if self.connection.path is None or schema.index.kind == "flat":
                raise
            # the index is incomplete if a process was killed while writing it: build it again
            client.drop_index(name, "vector", timeout=self.connection.long)
            self._build(client, name, schema)
            client.load_collection(name, timeout=self.connection.long)

    def _await_index(self, name: str) -> None:
        end, pause = time.monotonic() + self.connection.long, threading.Event()
        while index := self.index(name):
            if index["state"] == "Finished" and not index["pending_index_rows"]:
                return
            if index["state"] == "Failed":
                raise IndexRefused(f"{self.url} failed to index {name!r}: {index}")
            if time.monotonic() > end:
                raise BackendUnavailable(
                    f"{self.url} did not index {name!r} within {self.connection.long:.0f} s. Flush "
                    "it again later."
                )
            pause.wait(0.2)
