"""Milvus: an embedded file (milvus-lite) or a server, through one client, `MilvusClient`."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from pymilvus import DataType, MilvusClient, MilvusException
from typing_extensions import override

from imgsearch.backends import milvus_folder
from imgsearch.backends.base import Capabilities, VectorBackend, check_name, require_schema
from imgsearch.backends.checks import MAX_ID, MAX_TEXT
from imgsearch.backends.collection import Collection
from imgsearch.backends.identity import Described
from imgsearch.backends.milvus_collection import MilvusCollection
from imgsearch.backends.milvus_embedded import Embedded, is_of_disk
from imgsearch.backends.milvus_errors import text_of, translated
from imgsearch.backends.milvus_layout import Layout
from imgsearch.backends.milvus_schema import (
    BUILT,
    COLUMNS,
    PROPERTY,
    check_index,
    described,
    searched_vector,
)
from imgsearch.backends.names import FieldNames
from imgsearch.backends.schema import Schema
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    CollectionNotFound,
    ConfigError,
    IndexRefused,
)
from imgsearch.types import Fingerprint

LONG: Final = 600.0  # seconds for what grows with the collection: loading, flushing, indexing
NO_DATABASE: Final = 800


class Backend(VectorBackend):
    """One client. Calls to the embedded store go one at a time.

    For milvus-lite 3.2.2 takes one writer at a time, and a flush has to take the collection out of
    use for a moment, in which a reader beside it would be refused.
    """

    @override
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        for name in ("pymilvus", "milvus_lite"):  # they log a traceback for every failed call
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.url = url
        parts = urlsplit(url)
        self.path = Path(url.partition("://")[2]) if parts.scheme == "milvus-lite" else None
        self.capabilities = Capabilities(BUILT, persistent=True, shared=self.path is None)
        self.timeout = LONG if self.path else timeout  # in this process nobody can be dead
        self._turn: AbstractContextManager[object] = (
            threading.RLock() if self.path else nullcontext()
        )
        self.drops = 0  # of collections, by this object
        self.folder: Path | None = None  # where the embedded store's files are read
        self.read_only = False
        self._failed = False  # whether the disk refused an embedded store's write
        self._database = "" if self.path else parts.path.strip("/")
        self._client: MilvusClient | None
        self._embedded: Embedded | None = None
        if self.path:
            self._embed(self.path)
        else:
            scheme = "https" if parts.scheme == "milvus+https" else "http"
            self._client = self._served(f"{scheme}://{parts.netloc}", self._database, token)

    @override
    def names(self) -> list[str]:
        with self.calling() as client:
            if self.folder:  # lite lists none while one is damaged
                return milvus_folder.names(self.folder)
            return sorted(client.list_collections(timeout=self.timeout))

    @override
    def faults(self) -> dict[str, str]:
        return milvus_folder.faults(self.folder) if self.folder else {}

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        check_name(name)
        with self.calling() as client:
            if not self._is_there(client, name):
                self._make(client, name, schema)
            collection = self.open(name)
        require_schema(collection, schema)
        return collection

    @override
    def open(self, name: str) -> Collection:
        return self._open_named(name, FieldNames())

    @override
    def _open_named(self, name: str, names: FieldNames) -> Collection:
        with self.calling() as client:
            if not self._is_there(client, name):
                raise CollectionNotFound(f"no collection {name!r} in {self.url}")
            return MilvusCollection(self, self.prepared(name, names), names)

    @override
    def encoder(self, name: str) -> Fingerprint | None:
        with self.calling() as client:
            if not self._is_there(client, name):
                raise CollectionNotFound(f"no collection {name!r} in {self.url}")
            return self.described(name, FieldNames()).layout.schema.encoder

    @override
    def drop(self, name: str) -> None:
        self.check_writable()
        with self.calling() as client:
            if not self._is_there(client, name):
                raise CollectionNotFound(f"no collection {name!r} in {self.url}")
            if (real := self._real(client, name)) != name:  # lite would drop what it stands for
                raise CollectionNotFound(f"{name!r} is an alias of {real!r}: drop_alias drops it")
            # Milvus 2.3.5 would keep its aliases: they lead nowhere, and their names stay taken
            for alias in self._aliases(client, name):
                client.drop_alias(alias, timeout=self.timeout)
            client.drop_collection(name, timeout=self.timeout)
            self.drops += 1

    @override
    def set_alias(self, alias: str, name: str) -> None:
        check_name(alias)
        self.check_writable()
        with self.calling() as client:
            if not self._is_there(client, name):
                raise CollectionNotFound(f"no collection {name!r} in {self.url}")
            if alias in self.names():
                raise ConfigError(f"{alias!r} is a collection; an alias needs a name of its own")
            known = alias in client.list_aliases(timeout=self.timeout)["aliases"]
            put = client.alter_alias if known else client.create_alias
            put(self._real(client, name), alias, timeout=self.timeout)

    @override
    def drop_alias(self, alias: str) -> None:
        self.check_writable()
        with self.calling() as client:
            if alias not in self._aliases(client):
                raise CollectionNotFound(f"no alias {alias!r} in {self.url}")
            client.drop_alias(alias, timeout=self.timeout)

    @override
    def _close(self) -> None:
        with self._turn:
            client, self._client = self._client, None
            if client is not None:
                self._end(client)

    @contextmanager
    def calling(self) -> Iterator[MilvusClient]:
        """Lend the client; the driver's errors come out as ours.

        Raises:
            BackendError: the store is closed, or refused.
            BackendUnavailable, CollectionNotFound: as they say.
        """
        with self._turn:
            if self._failed:
                self._open_again()
            if self._client is None:
                raise BackendError(f"{self.url} is closed")
            try:
                yield self._client
            except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
                raise self._translated(error) from error

    def described(self, name: str, names: FieldNames) -> Described[Layout]:
        """Return what Milvus says of a collection, by its name or an alias.

        Raises:
            SchemaMismatch: it is none that imgsearch can use.
            FieldInvalid: it has no fields of these names.
        """
        with self.calling() as client:
            description = client.describe_collection(name, timeout=self.timeout)
            real = str(description["collection_name"])
            index = self.index(real, searched_vector(description, names))
            files = milvus_folder.identity(self.folder, real) if self.folder else None
            return described(description, index, names, files)

    def identity(self, name: str, names: FieldNames) -> object:
        """Return what differs for another collection of this name and for another index."""
        if self.folder:
            return milvus_folder.identity(self.folder, name)
        return self.described(name, names).identity

    def prepared(self, name: str, names: FieldNames) -> Described[Layout]:
        """Make a collection ready to be searched: build the index if it is missing, and load it.

        Raises:
            SchemaMismatch: it is none that imgsearch can use.
            FieldInvalid: it has no fields of these names.
        """
        with self.calling() as client:
            found = self.described(name, names)
            if not found.indexed:  # a crash came after the collection was made, or it was dropped
                self._build(client, found.name, found.layout.schema)
                found = self.described(name, names)
            if found.layout.ours:
                self._load(client, found.name, found.layout.schema)
            else:
                client.load_collection(found.name, timeout=LONG)
            return found

    def index(self, name: str, vector: str = "vector") -> Mapping[str, Any] | None:
        """Return what Milvus tells of the index on a vector of the collection, None without one."""
        with self.calling() as client:
            for index in client.list_indexes(name):
                found: Mapping[str, Any] = client.describe_index(name, index, timeout=self.timeout)
                if found.get("field_name") == vector and "metric_type" in found:
                    return found
        return None

    def refresh(self, name: str, schema: Schema) -> None:
        """Write everything down, and wait until it is indexed and loaded."""
        if self.read_only:
            return
        with self.calling() as client:
            if self.path is None:
                client.flush(name, timeout=LONG)
                self._await_index(name)
                return
            # Lite indexes new rows in a thread of its own that nobody can wait for, but loading
            # indexes what is missing, too.
            client.release_collection(name, timeout=LONG)
            try:
                client.flush(name, timeout=LONG)
            finally:
                self._load(client, name, schema)

    def _is_there(self, client: MilvusClient, name: str) -> bool:
        """Return whether there is a collection, or an alias, of this name.

        Raises:
            SchemaMismatch: it is damaged.
        """
        if self.folder and not milvus_folder.is_whole(self.folder, name, shown=self.path):
            return False
        return bool(client.has_collection(name, timeout=self.timeout))

    def _open_again(self) -> None:
        """Open an embedded store again whose last write failed; see `Embedded.close`."""
        client, self._client = self._client, None
        if client is not None:
            self._end(client)
        if self.path:
            self._embed(self.path)
        self._failed = False

    def _embed(self, path: Path) -> None:
        self._embedded = Embedded(path, LONG)
        self._client, self.read_only = self._embedded.client, self._embedded.read_only
        self.folder = self._embedded.folder

    def _end(self, client: MilvusClient) -> None:
        if self._embedded:
            self._embedded.close(failed=self._failed)
        else:
            client.close()

    def check_writable(self) -> None:
        """Refuse a write to an embedded store that this process can only read.

        Raises:
            BackendError: it can only be read.
        """
        if self.read_only:
            raise BackendError(
                f"{self.path} is read-only: it can be searched, but not changed. Change its "
                "permissions, or copy it by `imgsearch copy` to where it can be written."
            )

    def _aliases(self, client: MilvusClient, name: str = "") -> list[str]:
        """Return the aliases of a collection, or all of the database's."""
        # Milvus 2.3.5 takes the default database where this call names none
        told = client.list_aliases(name, timeout=self.timeout, db_name=self._database)
        return list(told["aliases"])

    def _real(self, client: MilvusClient, name: str) -> str:
        """Return the name of the collection that `name`, which exists, is or stands for."""
        return str(client.describe_collection(name, timeout=self.timeout)["collection_name"])

    def _served(self, uri: str, database: str, token: str | None) -> MilvusClient:
        try:
            client = MilvusClient(
                uri, token=token or "", db_name=database, timeout=self.timeout, dedicated=True
            )
            client.list_collections(timeout=self.timeout)  # the first call that names the database
        except MilvusException as error:
            if error.code == NO_DATABASE:
                raise ConfigError(f"{self.url}: the server has no database {database!r}") from error
            raise self._translated(error) from error
        except (grpc.RpcError, grpc.FutureTimeoutError) as error:
            raise self._translated(error) from error
        return client

    def _make(self, client: MilvusClient, name: str, schema: Schema) -> None:
        if schema.index.kind not in BUILT:
            raise IndexRefused(f"{self.url} does not build {schema.index.kind}")
        self.check_writable()
        if self.folder:
            milvus_folder.make_way(self.folder, name)
        text = schema.to_json()
        columns = client.create_schema(enable_dynamic_field=True, description=text)
        columns.add_field("id", DataType.VARCHAR, is_primary=True, max_length=MAX_ID)
        columns.add_field("vector", DataType.FLOAT_VECTOR, dim=schema.dim)
        for field, kind in schema.fields.items():
            extra = {"max_length": MAX_TEXT} if kind == "str" else {}
            columns.add_field(field, DataType[COLUMNS[kind]], **extra)
        client.create_collection(
            name,
            schema=columns,
            consistency_level="Session",
            properties={PROPERTY: text},
            timeout=self.timeout,
        )
        try:
            self._build(client, name, schema)
        except (MilvusException, IndexRefused) as error:
            with suppress(MilvusException):
                client.drop_collection(name, timeout=self.timeout)
            if self.path and is_of_disk(str(error)):
                raise
            raise IndexRefused(
                f"{self.url} does not build {schema.index}: {text_of(error)}"
            ) from error

    def _build(self, client: MilvusClient, name: str, schema: Schema) -> None:
        given = dict(schema.index.params)
        params = client.prepare_index_params()
        params.add_index(
            "vector",
            index_type=schema.index.kind.upper(),
            metric_type=schema.metric.upper(),
            # twice: lite ignores the ones that pymilvus flattens
            params={**given, "params": given} if given else {},
        )
        # sync would sleep for half a second at least, and forget the timeout (pymilvus 3.0.2)
        client.create_index(name, params, timeout=LONG, sync=False)
        check_index(self.index(name) or {}, schema)

    def _load(self, client: MilvusClient, name: str, schema: Schema) -> None:
        try:
            client.load_collection(name, timeout=LONG)
        except MilvusException:
            if self.path is None or schema.index.kind == "flat":
                raise
            # a process killed while lite wrote an index leaves half of it: build it again
            client.drop_index(name, "vector", timeout=LONG)
            self._build(client, name, schema)
            client.load_collection(name, timeout=LONG)

    def _await_index(self, name: str) -> None:
        end, pause = time.monotonic() + LONG, threading.Event()
        while (found := self.index(name)) and (
            found["state"] != "Finished" or found["pending_index_rows"]
        ):
            if found["state"] == "Failed":
                raise IndexRefused(f"{self.url} failed to index {name!r}: {found}")
            if time.monotonic() > end:
                raise BackendUnavailable(f"{self.url}: {name!r} not indexed in {LONG:.0f} s")
            pause.wait(0.2)

    def _translated(self, error: Exception) -> BackendError:
        text = text_of(error)
        if self.path and is_of_disk(text):
            self._failed = True
            return BackendError(
                f"{self.path} was not written or read: {text}. What was acknowledged is kept; make "
                "room or mend the disk, and run it again."
            )
        return translated(error, self.url, self.timeout)
